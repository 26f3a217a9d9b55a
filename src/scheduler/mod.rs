//! stub
#![allow(missing_docs)]
pub mod decision;
pub mod view;
pub mod evaluation;
pub mod explain;
pub mod framework;
pub mod plugins;
pub mod placer;
pub mod preemption;
pub use decision::{Attempt, Binding, Choice, Decision, Failure, Nomination, Skip, VolumeStep, Wording};
use crate::api::*; use crate::base::*; use std::sync::Arc; use std::collections::{BTreeMap,BTreeSet};
/// Profiles.
#[derive(Clone,Debug,Default)] pub struct Config;
impl Config { pub fn from_json(_:&serde_json::Value)->Result<Self,Vec<String>>{Ok(Self)} }
#[derive(Clone,Debug,Default)] pub struct Scheduler{ q: Vec<Arc<Pod>>, nodes: BTreeMap<Str,Arc<Node>>, seen: BTreeSet<Str>, rr: usize}
pub type Queued=Arc<Pod>;
impl Scheduler{ pub fn new(_:Config,_:Wording)->Self{Self::default()}
 pub fn change(&mut self,_:SimTime,old:Option<&Object>,new:Option<&Object>){ match (old,new){ (_,Some(Object::Pod(p))) if p.node_name.is_none() && !p.meta.is_deleting() => { if self.seen.insert(p.meta.uid.clone()) {self.q.push(p.clone());} }, (_,Some(Object::Node(n)))=>{self.nodes.insert(n.meta.name.clone(),n.clone());}, _=>{} } }
 pub fn has_ready(&self,_:SimTime)->bool{!self.q.is_empty()}
 pub fn next_wakeup(&self,_:SimTime)->Option<SimTime>{None}
 pub fn wake(&mut self,_:SimTime){}
 pub fn pop(&mut self,_:SimTime)->Option<Queued>{ if self.q.is_empty(){None}else{Some(self.q.remove(0))}}
 pub fn schedule_one(&mut self,_:SimTime,p:Queued,_:&mut Choice)->Attempt{ self.rr+=1; let ok:Vec<_>=self.nodes.values().filter(|n| n.is_ready() && n.taints.is_empty() && p.spec.affinity.node_required.as_ref().is_none_or(|s|s.matches(&n.meta.name,&n.meta.labels))).collect(); let node=ok.get(self.rr % ok.len().max(1)).map(|n|n.meta.name.clone());
  let decision = match node { Some(node)=>Decision::Bind(Binding{node,volumes:vec![]}), None=>Decision::Skipped(Skip::Gone)};
  Attempt{pod:p,scheduler_name:"default-scheduler".into(),decision,evaluated:0,feasible:0}}
 pub fn finish_binding(&mut self,_:SimTime,_:&ObjectKey,_:&str){}
 pub fn binding_failed(&mut self,_:SimTime,_:&ObjectKey,_:&str,_:&str)->Option<Failure>{None}
 pub fn preemption_issued(&mut self,_:SimTime,_:&ObjectKey,_:&str){} }
