//! What expressions say, what they mean, and the words for those that say nothing.

mod errors;
mod grammar;
mod meaning;
