//! In which order operations can be done.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::{
    Operation, Request,
    reference::{self, names, resolve, split},
};
use muster_proto::{fold::fold, schema::is_urn};

use crate::scim::{
    error::ScimError,
    json::{Json, Members},
    urn,
};

/// Attributes of which two resources at an endpoint must not have the same
/// value, so that the order in which they are made decides who gets it. Many
/// users share a `displayName`.
const CONTESTED: [(&str, &[&str]); 2] = [
    ("Users", &["userName", "externalId"]),
    ("Groups", &["displayName", "externalId"]),
];

/// An attribute that a schema of the tenant calls unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unique {
    /// The schema's.
    pub urn: &'static str,
    /// The attribute's.
    pub name: &'static str,
    /// Whether its values are text. One number, time or truth value can be written
    /// in several ways.
    pub is_text: bool,
}

/// The way through a bulk request. Operations go in the order of the request. One
/// that refers to a later one waits for it. Where operations wait for each
/// other, one is done without its references, which are added at the end.
///
/// Each reference is looked at once when what it names is there or lost, so that
/// the way costs what the request is long.
#[derive(Debug)]
pub struct Plan<'a> {
    request: &'a Request,
    /// Of the tenant's schemas.
    unique: &'a [Unique],
    nodes: Vec<Node<'a>>,
    /// Open operations that wait for nothing, or that can never be done.
    next: BTreeSet<usize>,
    /// By the name for which they stand.
    ids: HashMap<String, String>,
    /// What is still to be added, by operation.
    owed: VecDeque<(usize, Members)>,
}

/// An operation among the others.
#[derive(Debug)]
struct Node<'a> {
    state: State,
    /// Its name, when it makes what the name stands for.
    name: Option<&'a str>,
    /// The operations that it refers to, each once.
    needs: Vec<usize>,
    /// The operations that refer to it.
    needed_by: Vec<usize>,
    /// How many of its needs are not made yet.
    waits: usize,
    /// A name that will never stand for anything.
    lost: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Given,
    Made,
    Failed,
}

/// What to do next. Each index stands for an operation.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Do these at the same time, with these paths and bodies.
    Do(Vec<(usize, String, Members)>),
    /// This one cannot be done.
    Refuse(usize, ScimError),
    /// PATCH what this one made with this body.
    Add(usize, Members),
}

impl<'a> Plan<'a> {
    /// Before anything is done.
    pub fn new(request: &'a Request, unique: &'a [Unique]) -> Self {
        let operations = &request.operations;
        let maker = |o: &'a Operation| {
            let name = o.bulk_id.as_deref()?;
            (o.is_post() && o.fault.is_none()).then_some(name)
        };
        let mut nodes: Vec<_> = operations.iter().map(|o| Node::new(maker(o))).collect();
        let named = nodes.iter().enumerate();
        let makers: HashMap<_, _> = named.filter_map(|(i, n)| Some((n.name?, i))).collect();
        for (index, operation) in operations.iter().enumerate() {
            for name in all_names(operation) {
                match makers.get(name) {
                    Some(maker) => {
                        nodes[index].needs.push(*maker);
                        nodes[*maker].needed_by.push(index);
                    }
                    None => nodes[index].lost = Some(name),
                }
            }
            nodes[index].waits = nodes[index].needs.len();
        }
        let mut plan = Self {
            request,
            unique,
            nodes,
            next: BTreeSet::new(),
            ids: HashMap::new(),
            owed: VecDeque::new(),
        };
        let all = 0..operations.len();
        plan.next = all
            .filter(|index| plan.is_ready(*index) || plan.is_hopeless(*index))
            .collect();
        plan
    }

    /// The next step; `None` when there is none. What it gives must be answered
    /// by [`made`](Self::made) or [`failed`](Self::failed) before the next.
    pub fn next_step(&mut self) -> Option<Step> {
        if let Some(index) = self.next.pop_first() {
            return Some(match self.obstacle(index) {
                Some(error) => {
                    self.failed(index);
                    Step::Refuse(index, error)
                }
                None => Step::Do(self.give(index)),
            });
        }
        if let Some(step) = self.cut() {
            return Some(step);
        }
        let (index, data) = self.owed.pop_front()?;
        Some(self.add(index, &data))
    }

    /// An operation was done, on the resource with this id.
    pub fn made(&mut self, index: usize, id: &str) {
        self.nodes[index].state = State::Made;
        if let Some(name) = self.nodes[index].name {
            self.ids.insert(name.to_owned(), id.to_owned());
        }
        for waiting in std::mem::take(&mut self.nodes[index].needed_by) {
            self.nodes[waiting].waits -= 1;
            if self.is_open(waiting) && self.is_ready(waiting) {
                self.next.insert(waiting);
            }
        }
    }

    /// An operation failed.
    pub fn failed(&mut self, index: usize) {
        self.nodes[index].state = State::Failed;
        self.owed.retain(|(owing, _)| *owing != index);
        let name = self.nodes[index].name;
        for waiting in std::mem::take(&mut self.nodes[index].needed_by) {
            self.nodes[waiting].lost = name;
            if self.is_open(waiting) {
                self.next.insert(waiting);
            }
        }
    }

    /// Nothing more is begun. What was made without its references still gets
    /// those that there are: it is not done before.
    pub fn stop(&mut self) {
        self.next.clear();
        for node in &mut self.nodes {
            if node.state == State::Open {
                node.state = State::Failed;
            }
        }
    }

    fn is_open(&self, index: usize) -> bool {
        self.nodes[index].state == State::Open
    }

    fn is_ready(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.waits == 0 && !self.is_hopeless(index)
    }

    fn is_hopeless(&self, index: usize) -> bool {
        self.request.operations[index].fault.is_some() || self.nodes[index].lost.is_some()
    }

    /// Why an operation can never be done.
    fn obstacle(&self, index: usize) -> Option<ScimError> {
        let fault = self.request.operations[index].fault.clone();
        fault.or_else(|| Some(unresolved(self.nodes[index].lost?)))
    }

    /// The operation, and those behind it that can be done at the same time:
    /// others that make something of their own.
    fn give(&mut self, first: usize) -> Vec<(usize, String, Members)> {
        let mut claims = HashSet::new();
        let mut given = Vec::new();
        for index in first..self.nodes.len() {
            let operation = &self.request.operations[index];
            let joins = operation.is_post()
                && self.request.fail_on_errors.is_none()
                && self.is_open(index)
                && self.is_ready(index)
                && (given.is_empty() || !names_members(operation))
                && !has_paths(operation)
                && self.claim(operation, &mut claims);
            if index > first && !joins {
                break;
            }
            self.nodes[index].state = State::Given;
            self.next.remove(&index);
            let data = resolve(&operation.data, &self.ids);
            given.push((index, self.path(operation), data));
            if !joins {
                break;
            }
        }
        given
    }

    /// Whether no operation before claimed the same unique value.
    fn claim(&self, operation: &Operation, claims: &mut HashSet<String>) -> bool {
        let endpoint = operation.path.trim_matches('/');
        let contested = CONTESTED.iter().filter(|(home, _)| *home == endpoint);
        let core = contested.flat_map(|(_, names)| *names).filter_map(|name| {
            let text = operation.data.get(name)?.as_str()?;
            Some(format!("{endpoint} {name} {}", fold(text)))
        });
        let own = self
            .unique
            .iter()
            .filter_map(|Unique { urn, name, is_text }| {
                let Json::Object(extension) = operation.data.get(urn)? else {
                    return None;
                };
                let value = extension.get(name)?.as_str().filter(|_| *is_text);
                let value = value.map(fold).unwrap_or_default();
                Some(format!("{endpoint} {urn} {name} {value}"))
            });
        let claimed: Vec<_> = core.chain(own).collect();
        if claimed.iter().any(|claim| claims.contains(claim)) {
            return false;
        }
        claims.extend(claimed);
        true
    }

    fn path(&self, operation: &Operation) -> String {
        let segments = operation.path.split('/').map(|segment| {
            let id = reference::name(segment).and_then(|name| self.ids.get(name));
            id.map_or(segment, String::as_str)
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Begins with one of the operations that wait for each other. Groups that
    /// would be within each other are refused: there are none.
    fn cut(&mut self) -> Option<Step> {
        let circle = self.circle()?;
        let is_group = |index: &usize| names_members(&self.request.operations[*index]);
        let others = circle.iter().copied().filter(|index| !is_group(index));
        let Some(index) = others.min() else {
            let index = circle.into_iter().min()?;
            self.failed(index);
            let detail = "The group would be a member of itself, through others perhaps.";
            return Some(Step::Refuse(index, ScimError::new(409, detail)));
        };
        let operation = &self.request.operations[index];
        let known = resolve(&operation.data, &self.ids);
        let (data, owed) = split(known);
        self.owed.push_back((index, owed));
        self.nodes[index].state = State::Given;
        Some(Step::Do(vec![(index, operation.path.clone(), data)]))
    }

    /// The operations of a circle, when all that are open wait: whoever goes from
    /// one to what it waits for comes back to where he has been.
    fn circle(&self) -> Option<Vec<usize>> {
        let mut way = Vec::new();
        let mut place = vec![None; self.nodes.len()];
        let mut at = (0..self.nodes.len()).find(|index| self.is_open(*index))?;
        loop {
            if let Some(start) = place[at] {
                return Some(way.split_off(start));
            }
            place[at] = Some(way.len());
            way.push(at);
            let mut needs = self.nodes[at].needs.iter().copied();
            at = needs.find(|need| self.is_open(*need))?;
        }
    }

    fn add(&mut self, index: usize, owed: &Members) -> Step {
        let data = resolve(owed, &self.ids);
        if let Some(name) = names(&data).first() {
            self.nodes[index].state = State::Failed;
            return Step::Refuse(index, unresolved(name));
        }
        let operation = Json::object([("op", "add".into()), ("value", Json::Object(data))]);
        let mut body = Members::default();
        body.push("schemas", vec![Json::from(urn::PATCH_OP)]);
        body.push("Operations", vec![operation]);
        Step::Add(index, body)
    }
}

impl<'a> Node<'a> {
    fn new(name: Option<&'a str>) -> Self {
        Self {
            state: State::Open,
            name,
            needs: Vec::new(),
            needed_by: Vec::new(),
            waits: 0,
            lost: None,
        }
    }
}

/// Every name that an operation refers to.
fn all_names(operation: &Operation) -> BTreeSet<&str> {
    let mut found = names(&operation.data);
    let segments = operation.path.split('/');
    found.extend(segments.filter_map(reference::name));
    found
}

fn unresolved(name: &str) -> ScimError {
    ScimError::new(
        409,
        format!("No operation of this request made what bulkId {name:?} stands for."),
    )
}

/// Whether keys of its body may be paths, and so name contested attributes in
/// other ways.
fn has_paths(operation: &Operation) -> bool {
    let mut members = operation.data.0.iter();
    members.any(|(key, json)| is_urn(key) && !matches!(json, Json::Object(_)))
}

/// Whether it names members: they may be what an operation before it makes.
fn names_members(operation: &Operation) -> bool {
    match operation.data.get("members") {
        None | Some(Json::Null) => false,
        Some(Json::Array(members)) => !members.is_empty(),
        Some(_) => true,
    }
}
