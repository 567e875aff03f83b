//! Certificates that are made for a test, by openssl.

use std::path::Path;

use crate::child;

/// Makes in a folder, each as `NAME.pem` and `NAME.key`: `ca`; of it `server`, for localhost,
/// and `client`; and `other`, which has to do with none of them.
pub fn make(folder: &Path) {
    for (name, by) in
        [("ca", None), ("other", None), ("server", Some("ca")), ("client", Some("ca"))]
    {
        one(folder, name, by);
    }
}

/// One that another has signed, or itself.
fn one(folder: &Path, name: &str, by: Option<&str>) {
    let file = |name: &str, kind: &str| folder.join(format!("{name}.{kind}")).display().to_string();
    let (pem, key, subject) = (file(name, "pem"), file(name, "key"), format!("/CN={name}"));
    let signer = by.map(|by| (file(by, "pem"), file(by, "key")));
    let curve = "ec_paramgen_curve:P-256";
    let mut args = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-nodes"];
    args.extend(["-days", "2", "-subj", &subject, "-keyout", &key, "-out", &pem]);
    if let Some((ca, ca_key)) = &signer {
        args.extend(["-CA", ca, "-CAkey", ca_key, "-addext", "subjectAltName=DNS:localhost"]);
        args.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    child::run("openssl", &args).expect_code(0);
}
