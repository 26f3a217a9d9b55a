//! What must hold from outside: one binary, a module per topic.

mod properties;
mod scenarios;
mod support;
