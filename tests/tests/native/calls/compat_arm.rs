//! The calls of a true 32-bit arm program. Each number has a module of its own, by which
//! results are counted.

use tests::compat;

fn armhf_program(module: &str, way: &str) {
    let test = format!("{module}::an_armhf_program");
    compat::check(&test, way, "TRACER_TEST_ARMHF", &["arm-linux-gnueabihf-gcc", "-static"]);
}

mod time32 {
    #[test]
    fn an_armhf_program() {
        super::armhf_program(module_path!(), "time32");
    }
}

mod time64 {
    #[test]
    fn an_armhf_program() {
        super::armhf_program(module_path!(), "time64");
    }
}
