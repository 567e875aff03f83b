//! stub
pub mod doctor;
pub mod list;
