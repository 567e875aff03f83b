//! stub
/// s
pub fn text(_c: bool) -> String {
    String::new()
}
/// s
pub fn json() -> serde_json::Value {
    serde_json::Value::Null
}
