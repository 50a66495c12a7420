//! Operations on multi-valued attributes.

use muster_proto::{
    schema::{Attribute, Kind},
    value::{Object, Value},
};

use super::{
    Op,
    single::{merge, set},
};
use crate::{
    domain::{
        conform::{self, LIST_LIMIT},
        filter::Filter,
        fold::fold,
    },
    error::{Error, Result},
};

/// Sub-attributes that say nothing without others: an element that has only
/// these left after a removal is gone.
const ANNOTATIONS: [&str; 3] = ["type", "primary", "display"];

/// Changes a list, the elements of it that a filter selects, or a part of them.
pub(super) fn change(
    container: &mut Object,
    op: Op,
    attribute: &'static Attribute,
    select: Option<&Filter>,
    sub: Option<&'static Attribute>,
    value: Value,
) -> Result<()> {
    let mut list = List::take(container, attribute);
    match (op, select, sub) {
        (Op::Remove, None, None) => list.remove_values(value)?,
        (Op::Remove, select, None) => list.elements.retain(|e| !selected(select, e)),
        (Op::Remove, select, Some(sub)) => list.remove_part(select, sub),
        (_, select, Some(sub)) if value.is_unassigned() => list.remove_part(select, sub),
        (op, select, Some(sub)) => list.set_part(op, select, sub, &value)?,
        (Op::Replace, None, None) => list.replace(value)?,
        (Op::Add, None, None) => list.add(value)?,
        (op, Some(filter), None) => list.change_selected(op, filter, value)?,
    }
    list.put_back(container)
}

struct List {
    attribute: &'static Attribute,
    elements: Vec<Object>,
}

impl List {
    fn take(container: &mut Object, attribute: &'static Attribute) -> Self {
        let elements = match container.remove(attribute.name) {
            Some(Value::List(elements)) => objects(elements),
            _ => Vec::new(),
        };
        Self {
            attribute,
            elements,
        }
    }

    fn put_back(self, container: &mut Object) -> Result<()> {
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
            let index = match self.position_of(&element) {
                Some(index) => {
                    self.elements[index].extend(element);
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

    /// Where an element stands that means the same: equal in `value` and
    /// `type`, or in everything when it has no value.
    fn position_of(&self, element: &Object) -> Option<usize> {
        let key = |e: &Object| match e.get("value") {
            Some(value) => (Some(value.clone()), e.get("type").cloned(), None),
            None => (None, None, Some(e.clone())),
        };
        self.elements.iter().position(|e| key(e) == key(element))
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
        for value in meant {
            let Value::Complex(meant) = value else {
                return Err(Error::invalid(
                    self.attribute.name,
                    "must have sub-attributes",
                ));
            };
            self.elements.retain(|e| !same(self.attribute, e, &meant));
        }
        Ok(())
    }

    fn remove_part(&mut self, select: Option<&Filter>, sub: &Attribute) {
        self.elements.retain_mut(|element| {
            if !selected(select, element) || element.remove(sub.name).is_none() {
                return true;
            }
            element
                .keys()
                .any(|key| !ANNOTATIONS.contains(&key.as_str()))
        });
    }

    fn set_part(
        &mut self,
        op: Op,
        select: Option<&Filter>,
        sub: &'static Attribute,
        value: &Value,
    ) -> Result<()> {
        let targets = self.targets(op, select)?;
        for &index in &targets {
            set(&mut self.elements[index], sub, value.clone())?;
        }
        self.keep_one_primary(&targets);
        Ok(())
    }

    fn change_selected(&mut self, op: Op, filter: &Filter, value: Value) -> Result<()> {
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
        let targets = self.targets(op, Some(filter))?;
        for &index in &targets {
            let element = &mut self.elements[index];
            if op == Op::Replace {
                *element = filter.equalities().unwrap_or_default();
            }
            merge(element, self.attribute, given.clone())?;
        }
        self.keep_one_primary(&targets);
        Ok(())
    }

    /// The elements that an operation is about. Where there are none, "add"
    /// makes one from what the filter demands.
    fn targets(&mut self, op: Op, select: Option<&Filter>) -> Result<Vec<usize>> {
        let matching = self.elements.iter().enumerate();
        let targets: Vec<_> = matching
            .filter(|(_, element)| selected(select, element))
            .map(|(index, _)| index)
            .collect();
        if !targets.is_empty() {
            return Ok(targets);
        }
        let no_target = || Error::NoTarget(self.attribute.name.to_owned());
        let element = match select {
            None => Object::new(),
            Some(filter) if op == Op::Add => {
                let element = filter.equalities().ok_or_else(no_target)?;
                let value = Value::Complex(element);
                match conform::element(self.attribute, value)? {
                    Some(Value::Complex(element)) if filter.matches(&element) => element,
                    _ => return Err(no_target()),
                }
            }
            Some(_) => return Err(no_target()),
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

/// Whether every sub-attribute that is meant has the meant value. What names no
/// sub-attribute means nothing, and certainly not everything.
pub(super) fn same(attribute: &Attribute, element: &Object, meant: &Object) -> bool {
    let known = |(name, value): (&String, &Value)| {
        let sub = attribute.sub_attribute(name)?;
        (!value.is_unassigned()).then(|| equal(sub, element.get(sub.name), value))
    };
    let mut answers = meant.iter().filter_map(known).peekable();
    answers.peek().is_some() && answers.all(|equal| equal)
}

fn equal(sub: &Attribute, current: Option<&Value>, meant: &Value) -> bool {
    match (current, meant) {
        (Some(Value::String(current)), Value::String(meant))
            if sub.kind == Kind::String && !sub.case_exact =>
        {
            fold(current) == fold(meant)
        }
        (None, Value::Boolean(meant)) => !meant,
        (current, meant) => current == Some(meant),
    }
}
