//! What must hold from outside: one binary, a module per topic.
#![allow(clippy::print_stdout, reason = "what is skipped is said")]

mod autoscaling;
mod determinism;
mod docs;
mod fuzz;
mod invalid;
mod milestones;
mod nodes;
mod oracle;
mod pace;
mod plugins;
mod properties;
mod readme;
mod scenarios;
mod schedule;
mod speed;
mod storage;
mod support;
mod swarm;
mod timelines;
