//! Operations on multi-valued attributes.

use muster_proto::{
    schema::{Attribute, Kind, Mutability},
    value::{Object, Value},
};

use super::{
    Change, Op,
    single::{merge, set},
};
use crate::{
    domain::{
        characteristics,
        conform::{self, LIST_LIMIT},
        filter::Filter,
        fold::{self, fold},
    },
    error::{Error, Result},
};

/// Sub-attributes that say nothing without others: an element that has only
/// these left after a removal is gone.
const ANNOTATIONS: [&str; 3] = ["type", "primary", "display"];

/// Changes a list, the elements of it that a filter selects, or a part of them.
pub(super) fn change(
    container: &mut Object,
    change: Change,
    attribute: &'static Attribute,
    select: Option<&Filter>,
    sub: Option<&'static Attribute>,
    value: Value,
) -> Result<()> {
    let mut list = List::take(container, change, attribute);
    if change.op == Op::Remove || value.is_unassigned() {
        list.check_target(select)?;
    }
    match (change.op, select, sub) {
        (Op::Remove, None, None) => list.remove_values(value)?,
        (Op::Remove, select, None) => list.elements.retain(|e| !selected(select, e)),
        (Op::Remove, select, Some(sub)) => list.remove_part(select, sub)?,
        (_, select, Some(sub)) if value.is_unassigned() => list.remove_part(select, sub)?,
        (_, select, Some(sub)) => list.set_part(select, sub, &value)?,
        (Op::Replace, None, None) => list.replace(value)?,
        (Op::Add, None, None) => list.add(value)?,
        (_, Some(filter), None) => list.change_selected(filter, value)?,
    }
    list.put_back(container)
}

struct List {
    change: Change,
    attribute: &'static Attribute,
    elements: Vec<Object>,
}

impl List {
    fn take(container: &mut Object, change: Change, attribute: &'static Attribute) -> Self {
        let elements = match container.remove(attribute.name) {
            Some(Value::List(elements)) => objects(elements),
            _ => Vec::new(),
        };
        Self {
            change,
            attribute,
            elements,
        }
    }

    fn put_back(mut self, container: &mut Object) -> Result<()> {
        self.elements.retain(|element| !element.is_empty());
        if self.elements.len() > LIST_LIMIT {
            let rule = format!("has more than {LIST_LIMIT} values");
            return Err(Error::invalid(self.attribute.name, rule));
        }
        if !self.elements.is_empty() {
            let elements = self.elements.into_iter().map(Value::Complex).collect();
            container.insert(self.attribute.name.to_owned(), Value::List(elements));
        }
        Ok(())
    }

    fn replace(&mut self, value: Value) -> Result<()> {
        self.elements = match conform::value(self.attribute, value)? {
            Some(Value::List(elements)) => objects(elements),
            _ => Vec::new(),
        };
        Ok(())
    }

    fn add(&mut self, value: Value) -> Result<()> {
        let Some(Value::List(added)) = conform::value(self.attribute, value)? else {
            return Ok(());
        };
        for element in objects(added) {
            // RFC 7644 section 3.5.2.1: what is there already changes nothing.
            let says_the_same = |known| say_the_same(self.attribute, known, &element);
            if self.elements.iter().any(says_the_same) {
                continue;
            }
            let index = match self.position_of(&element) {
                Some(index) => {
                    let before = self.elements[index].clone();
                    self.elements[index].extend(element);
                    self.keep_immutable(&before, index)?;
                    index
                }
                None => {
                    self.elements.push(element);
                    self.elements.len() - 1
                }
            };
            self.keep_one_primary(&[index]);
        }
        Ok(())
    }

    /// What an element says once, it keeps saying.
    fn keep_immutable(&self, before: &Object, index: usize) -> Result<()> {
        characteristics::keep_parts(self.attribute, before, &self.elements[index])
    }

    /// Where an element stands that means the same: equal in `value` and
    /// `type`, or in everything when it has no value.
    fn position_of(&self, element: &Object) -> Option<usize> {
        let means_the_same = |other: &Object| match (other.get("value"), element.get("value")) {
            (Some(a), Some(b)) => a == b && other.get("type") == element.get("type"),
            (None, None) => other == element,
            _ => false,
        };
        self.elements.iter().position(means_the_same)
    }

    fn remove_values(&mut self, value: Value) -> Result<()> {
        let meant = match value {
            Value::Null => {
                self.elements.clear();
                return Ok(());
            }
            Value::List(values) => values,
            single => vec![single],
        };
        if meant.len() > LIST_LIMIT {
            return Err(Error::TooMany {
                what: "values to remove",
                limit: LIST_LIMIT,
            });
        }
        if meant.iter().any(|value| value.as_object().is_none()) {
            return Err(Error::invalid(
                self.attribute.name,
                "must have sub-attributes",
            ));
        }
        // Folded once: lists are long, and folding is what takes time.
        let meant: Vec<_> = objects(meant)
            .iter()
            .map(|m| comparable(self.attribute, m))
            .collect();
        self.elements.retain(|element| {
            let element = comparable(self.attribute, element);
            !meant.iter().any(|meant| includes(&element, meant))
        });
        Ok(())
    }

    fn remove_part(&mut self, select: Option<&Filter>, sub: &Attribute) -> Result<()> {
        let is_said = |e: &Object| selected(select, e) && e.contains_key(sub.name);
        if sub.mutability == Mutability::Immutable && self.elements.iter().any(is_said) {
            let path = format!("{}.{}", self.attribute.name, sub.name);
            return Err(Error::Immutable(path));
        }
        self.elements.retain_mut(|element| {
            if !selected(select, element) || element.remove(sub.name).is_none() {
                return true;
            }
            element
                .keys()
                .any(|key| !ANNOTATIONS.contains(&key.as_str()))
        });
        Ok(())
    }

    fn set_part(
        &mut self,
        select: Option<&Filter>,
        sub: &'static Attribute,
        value: &Value,
    ) -> Result<()> {
        let targets = self.targets(select)?;
        for &index in &targets {
            let before = self.elements[index].clone();
            set(&mut self.elements[index], sub, value.clone())?;
            self.keep_immutable(&before, index)?;
        }
        self.keep_one_primary(&targets);
        Ok(())
    }

    fn change_selected(&mut self, filter: &Filter, value: Value) -> Result<()> {
        let given = match value {
            Value::Complex(given) => given,
            Value::Null => {
                self.elements.retain(|e| !filter.matches(e));
                return Ok(());
            }
            _ => {
                return Err(Error::invalid(
                    self.attribute.name,
                    "must have sub-attributes",
                ));
            }
        };
        let targets = self.targets(Some(filter))?;
        for &index in &targets {
            let before = self.elements[index].clone();
            let element = &mut self.elements[index];
            if self.change.op == Op::Replace {
                let demanded = filter.equalities().filter(|_| !self.change.require_target);
                *element = demanded.unwrap_or_default();
            }
            merge(element, self.attribute, given.clone())?;
            self.keep_immutable(&before, index)?;
        }
        self.keep_one_primary(&targets);
        Ok(())
    }

    /// Where a target is required, what a filter selects must be there.
    fn check_target(&self, select: Option<&Filter>) -> Result<()> {
        let found = self
            .elements
            .iter()
            .any(|element| selected(select, element));
        if self.change.require_target && select.is_some() && !found {
            return Err(Error::NoTarget(self.attribute.name.to_owned()));
        }
        Ok(())
    }

    /// The elements that an operation is about. Where there are none and none
    /// is required, one is made from what the filter demands: RFC 7644 section
    /// 3.5.2.3 wants "noTarget" for "replace", but provisioning clients mean
    /// "set" by it.
    fn targets(&mut self, select: Option<&Filter>) -> Result<Vec<usize>> {
        let matching = self.elements.iter().enumerate();
        let targets: Vec<_> = matching
            .filter(|(_, element)| selected(select, element))
            .map(|(index, _)| index)
            .collect();
        if !targets.is_empty() {
            return Ok(targets);
        }
        self.check_target(select)?;
        let no_target = || Error::NoTarget(self.attribute.name.to_owned());
        let element = match select {
            None => Object::new(),
            Some(filter) => {
                let element = filter.equalities().ok_or_else(no_target)?;
                let value = Value::Complex(element);
                match conform::element(self.attribute, value)? {
                    Some(Value::Complex(element)) if filter.matches(&element) => element,
                    _ => return Err(no_target()),
                }
            }
        };
        self.elements.push(element);
        Ok(vec![self.elements.len() - 1])
    }

    /// RFC 7644 section 3.5.2: where a new element is primary, the others no
    /// longer are.
    fn keep_one_primary(&mut self, changed: &[usize]) {
        let is_primary = |e: &Object| e.get("primary") == Some(&Value::Boolean(true));
        let Some(&winner) = changed
            .iter()
            .rfind(|&&index| is_primary(&self.elements[index]))
        else {
            return;
        };
        for (index, element) in self.elements.iter_mut().enumerate() {
            if index != winner && is_primary(element) {
                element.insert("primary".to_owned(), false.into());
            }
        }
    }
}

fn selected(select: Option<&Filter>, element: &Object) -> bool {
    select.is_none_or(|filter| filter.matches(element))
}

fn objects(elements: Vec<Value>) -> Vec<Object> {
    let object = |element| match element {
        Value::Complex(object) => Some(object),
        _ => None,
    };
    elements.into_iter().filter_map(object).collect()
}

/// Whether two elements say the same, whatever their case where case does not
/// count. Every operation asks this of every element, so nothing is folded that
/// need not be.
fn say_the_same(attribute: &Attribute, one: &Object, other: &Object) -> bool {
    let same = |sub: &Attribute| match (said(sub, one), said(sub, other)) {
        (Some(Value::String(one)), Some(Value::String(other)))
            if sub.kind == Kind::String && !sub.case_exact =>
        {
            fold::same(one, other)
        }
        (one, other) => one == other,
    };
    attribute.sub_attributes.iter().all(same)
}

/// What an element says of a part. One without "primary" is not primary (RFC
/// 7643 section 2.4).
fn said<'a>(sub: &Attribute, element: &'a Object) -> Option<&'a Value> {
    let value = element.get(sub.name).filter(|v| !v.is_unassigned())?;
    let is_default = sub.name == "primary" && *value == Value::Boolean(false);
    (!is_default).then_some(value)
}

/// Whether every sub-attribute that is meant has the meant value.
pub(super) fn same(attribute: &Attribute, element: &Object, meant: &Object) -> bool {
    includes(
        &comparable(attribute, element),
        &comparable(attribute, meant),
    )
}

/// What is compared of an element: text folded where case does not count.
fn comparable(attribute: &Attribute, element: &Object) -> Object {
    let part = |(name, value): (&String, &Value)| {
        let sub = attribute.sub_attribute(name)?;
        let value = match value {
            Value::String(text) if sub.kind == Kind::String && !sub.case_exact => fold(text).into(),
            other => other.clone(),
        };
        (!value.is_unassigned()).then(|| (sub.name.to_owned(), value))
    };
    element.iter().filter_map(part).collect()
}

/// What names no sub-attribute means nothing, and certainly not everything.
fn includes(element: &Object, meant: &Object) -> bool {
    let equal = |(name, meant): (&String, &Value)| match (element.get(name), meant) {
        // RFC 7643 section 2.4: an element without "primary" is not primary.
        (None, Value::Boolean(meant)) => !meant,
        (current, meant) => current == Some(meant),
    };
    !meant.is_empty() && meant.iter().all(equal)
}
