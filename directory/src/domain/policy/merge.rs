//! A user who exists already, and what is sent to create one.

use muster_proto::value::{Object, Value};

use super::{OnMatch, Path, Policy};

impl Policy {
    /// What a user who was found consists of afterwards.
    pub fn united(&self, found: &Object, sent: Object) -> Object {
        match self.on_match {
            OnMatch::Conflict => found.clone(),
            OnMatch::Adopt => {
                let mut united = filled(found, &sent);
                // Both are the connection's word, whoever wrote the rest.
                for name in ["active", "externalId"] {
                    if let Some(value) = sent.get(name) {
                        united.insert(name.to_owned(), value.clone());
                    }
                }
                united
            }
            OnMatch::Merge => {
                let mut united = filled(&sent, found);
                self.restore(found, &mut united);
                united
            }
        }
    }

    /// Puts back what is never overwritten.
    fn restore(&self, found: &Object, united: &mut Object) {
        let kept = |path: &Path| path.get(found).cloned();
        for path in &self.never_overwrite {
            if let Some(value) = kept(path) {
                path.set(united, Some(value));
            }
        }
    }
}

/// The first, and of the second what it lacks: of complex values part by part.
fn filled(first: &Object, second: &Object) -> Object {
    let mut filled = first.clone();
    for (name, value) in second {
        match (filled.get_mut(name), value) {
            (None, value) => {
                filled.insert(name.clone(), value.clone());
            }
            (Some(Value::Complex(whole)), Value::Complex(more)) => {
                let united = self::filled(whole, more);
                *whole = united;
            }
            (Some(_), _) => {}
        }
    }
    filled
}
