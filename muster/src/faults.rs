//! Errors of the directory in the words of the command line: in which tenant nothing
//! was found, what is wrong with a policy, how to go on.

use anyhow::anyhow;
use muster_directory::{
    domain::Kind,
    error::{Error, Violation},
};

/// The error of a command in this tenant.
pub(crate) fn told(error: anyhow::Error, tenant: Option<&str>) -> anyhow::Error {
    match error.downcast_ref::<Error>() {
        Some(Error::NotFound { kind, id }) => {
            let place = tenant.filter(|_| !matches!(kind, Kind::Tenant | Kind::SigningKey));
            let place = place.map(|tenant| format!(" in tenant {tenant:?}"));
            let (noun, place) = (noun(*kind), place.unwrap_or_default());
            anyhow!("{noun} {id:?} does not exist{place}")
        }
        Some(Error::TokenState(told)) => anyhow!(told.replace("the token", "the credential")),
        _ => error,
    }
}

/// Commands know no other tokens.
fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Token => "credential",
        other => other.noun(),
    }
}

/// What is wrong with a policy: a fault in the same line, several below each other.
pub(crate) fn of_policy(faults: &[Violation]) -> anyhow::Error {
    let sentence = |fault: &Violation| format!("{} {}", fault.field, fault.rule);
    match faults {
        [fault] => anyhow!(sentence(fault)),
        faults => {
            let lines: Vec<_> = faults.iter().map(sentence).collect();
            anyhow!("the policy cannot be meant:\n  {}", lines.join("\n  "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_does_not_exist_is_said_with_its_tenant() {
        let missing = |kind| {
            let id = "x".to_owned();
            anyhow::Error::from(Error::NotFound { kind, id })
        };
        let said = |kind| told(missing(kind), Some("acme")).to_string();
        assert_eq!(
            said(Kind::Token),
            "credential \"x\" does not exist in tenant \"acme\""
        );
        assert_eq!(said(Kind::Tenant), "tenant \"x\" does not exist");
        let nowhere = told(missing(Kind::SigningKey), None);
        assert_eq!(nowhere.to_string(), "signing key \"x\" does not exist");
    }

    #[test]
    fn several_faults_have_a_line_each() {
        let faults = [
            Violation::new("on_match", "needs a match_order"),
            Violation::new("credential_limit", "must be at least 1"),
        ];
        assert_eq!(
            of_policy(&faults[..1]).to_string(),
            "on_match needs a match_order"
        );
        assert_eq!(
            of_policy(&faults).to_string(),
            "the policy cannot be meant:\n  on_match needs a match_order\n  \
             credential_limit must be at least 1"
        );
    }
}
