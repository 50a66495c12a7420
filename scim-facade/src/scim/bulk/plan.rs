//! In which order operations can be done.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    Operation, Request,
    reference::{self, names, resolve, split},
};
use crate::scim::{
    error::ScimError,
    json::{Json, Members},
    urn,
};

/// Attributes of which two resources must not have the same value, so that the
/// order in which they are made decides who gets it.
const CONTESTED: [&str; 3] = ["userName", "displayName", "externalId"];

/// The way through a bulk request. Operations go in the order of the request. One
/// that refers to a later one waits for it. Where operations wait for each
/// other, one is done without its references, which are added at the end.
#[derive(Debug)]
pub struct Plan<'a> {
    request: &'a Request,
    /// Which operation makes the resource of this name.
    makers: HashMap<&'a str, usize>,
    needs: Vec<BTreeSet<String>>,
    state: Vec<State>,
    ids: HashMap<String, String>,
    /// What is still to be added, by operation.
    owed: Vec<(usize, Members)>,
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
    pub fn new(request: &'a Request) -> Self {
        let operations = request.operations.iter();
        let makers = operations.clone().enumerate().filter_map(|(index, o)| {
            let is_maker = o.is_post() && o.fault.is_none();
            Some((o.bulk_id.as_deref().filter(|_| is_maker)?, index))
        });
        let needs = operations.clone().map(|operation| {
            let mut needs = names(&operation.data);
            let segments = operation.path.split('/');
            needs.extend(segments.filter_map(reference::name).map(str::to_owned));
            needs
        });
        Self {
            makers: makers.collect(),
            needs: needs.collect(),
            state: vec![State::Open; operations.len()],
            ids: HashMap::new(),
            owed: Vec::new(),
            request,
        }
    }

    /// The next step; `None` when there is none. What it gives must be answered
    /// by [`made`](Self::made) or [`failed`](Self::failed) before the next.
    pub fn next_step(&mut self) -> Option<Step> {
        let open = |state: &State| *state == State::Open;
        if !self.state.iter().any(open) {
            let (index, data) = self.owed.pop()?;
            return Some(self.add(index, &data));
        }
        for index in 0..self.state.len() {
            if self.state[index] != State::Open {
                continue;
            }
            if let Some(error) = self.obstacle(index) {
                self.state[index] = State::Failed;
                return Some(Step::Refuse(index, error));
            }
            if self.is_ready(index) {
                return Some(Step::Do(self.give(index)));
            }
        }
        self.cut()
    }

    /// An operation was done, on the resource with this id.
    pub fn made(&mut self, index: usize, id: &str) {
        self.state[index] = State::Made;
        if let Some(name) = &self.request.operations[index].bulk_id
            && self.makers.get(name.as_str()) == Some(&index)
        {
            self.ids.insert(name.clone(), id.to_owned());
        }
    }

    /// An operation failed.
    pub fn failed(&mut self, index: usize) {
        self.state[index] = State::Failed;
        self.owed.retain(|(owing, _)| *owing != index);
    }

    /// Why an operation can never be done.
    fn obstacle(&self, index: usize) -> Option<ScimError> {
        if let Some(fault) = &self.request.operations[index].fault {
            return Some(fault.clone());
        }
        let lost = |name: &&String| match self.makers.get(name.as_str()) {
            Some(maker) => self.state[*maker] == State::Failed,
            None => true,
        };
        let name = self.needs[index].iter().find(lost)?;
        Some(unresolved(name))
    }

    fn is_ready(&self, index: usize) -> bool {
        let mut needs = self.needs[index].iter();
        needs.all(|name| self.ids.contains_key(name))
    }

    /// The operation, and those behind it that can be done at the same time:
    /// others that make something of their own.
    fn give(&mut self, first: usize) -> Vec<(usize, String, Members)> {
        let mut claims = HashSet::new();
        let mut given = Vec::new();
        for index in first..self.state.len() {
            let operation = &self.request.operations[index];
            let joins = operation.is_post()
                && self.request.fail_on_errors.is_none()
                && self.state[index] == State::Open
                && self.obstacle(index).is_none()
                && self.is_ready(index)
                && claim(operation, &mut claims);
            if index > first && !joins {
                break;
            }
            self.state[index] = State::Given;
            let data = resolve(&operation.data, &self.ids);
            given.push((index, self.path(operation), data));
            if !joins {
                break;
            }
        }
        given
    }

    fn path(&self, operation: &Operation) -> String {
        let segments = operation.path.split('/').map(|segment| {
            let id = reference::name(segment).and_then(|name| self.ids.get(name));
            id.map_or(segment, String::as_str)
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Begins with one of the operations that wait for each other.
    fn cut(&mut self) -> Option<Step> {
        let waits =
            |index: &usize| self.state[*index] == State::Open && self.waits_for_itself(*index);
        let index = (0..self.state.len()).find(waits)?;
        let operation = &self.request.operations[index];
        let known = resolve(&operation.data, &self.ids);
        let (data, owed) = split(known);
        self.owed.insert(0, (index, owed));
        self.state[index] = State::Given;
        Some(Step::Do(vec![(index, operation.path.clone(), data)]))
    }

    fn waits_for_itself(&self, index: usize) -> bool {
        let mut reached = HashSet::new();
        let mut open = vec![index];
        while let Some(at) = open.pop() {
            let needs = self.needs[at].iter();
            let needs = needs.filter(|name| !self.ids.contains_key(*name));
            for maker in needs.filter_map(|name| self.makers.get(name.as_str())) {
                if *maker == index {
                    return true;
                }
                if reached.insert(*maker) {
                    open.push(*maker);
                }
            }
        }
        false
    }

    fn add(&mut self, index: usize, owed: &Members) -> Step {
        let data = resolve(owed, &self.ids);
        if let Some(name) = names(&data).first() {
            self.state[index] = State::Failed;
            return Step::Refuse(index, unresolved(name));
        }
        let operation = Json::object([("op", "add".into()), ("value", Json::Object(data))]);
        let mut body = Members::default();
        body.push("schemas", vec![Json::from(urn::PATCH_OP)]);
        body.push("Operations", vec![operation]);
        Step::Add(index, body)
    }
}

fn unresolved(name: &str) -> ScimError {
    ScimError::new(
        409,
        format!("No operation of this request made what bulkId {name:?} stands for."),
    )
}

/// Whether no operation before claimed the same unique value.
fn claim(operation: &Operation, claims: &mut HashSet<String>) -> bool {
    let endpoint = operation.path.trim_matches('/');
    let claimed = CONTESTED.iter().filter_map(|name| {
        let text = operation.data.get(name)?.as_str()?;
        Some(format!("{endpoint} {name} {}", text.to_lowercase()))
    });
    let claimed: Vec<_> = claimed.collect();
    if claimed.iter().any(|claim| claims.contains(claim)) {
        return false;
    }
    claims.extend(claimed);
    true
}
