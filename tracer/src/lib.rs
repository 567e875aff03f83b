pub mod decode;
pub mod event;
pub mod record;
pub mod source;
