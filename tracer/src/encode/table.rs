//! stub
use crate::event::Event;
/// stub
pub struct Table;
impl Table {
    /// stub
    pub fn new(_w: usize, _c: bool) -> Self {
        Self
    }
    /// stub
    pub fn resize(&mut self, _w: usize) {}
    /// stub
    pub fn event(&mut self, e: &Event, out: &mut Vec<u8>) {
        out.extend(format!("{} {:?}\n", e.event, e.ret).bytes());
    }
    /// stub
    pub fn health(&mut self, kind: &str, text: &str, out: &mut Vec<u8>) {
        out.extend(format!("{kind} {text}\n").bytes());
    }
}
