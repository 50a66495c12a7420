//! At which moment of history an answer has to be true, and until when it has to be
//! there: the same of every lookup.

use std::collections::BTreeSet;

use muster_proto::{
    policy::Policies,
    v1::{Consistency, MembershipQuestion, Revision, consistency::Requirement},
};
use muster_tests::{feed::latest, grpc::bare};
use prost::Message;

use super::*;

/// A lookup about a user and a group, as it is asked and what it says of the moment.
struct Case {
    method: &'static str,
    ask: fn(&Grpc, &Asked) -> Result<Option<Revision>, Status>,
    /// The code of the same with no time to answer.
    late: fn(&Late, &Asked) -> Code,
}

/// Calls with a deadline that has passed when they come.
struct Late {
    token: String,
}

impl Late {
    #[track_caller]
    fn call(&self, method: &str, request: &impl Message) -> Code {
        let method = format!("identity.directory.v1.DirectoryLookupService/{method}");
        let url = super::super::server().grpc();
        bare(url, &self.token, &method, "1n", request)
    }
}

/// About whom, and when.
struct Asked {
    user: String,
    group: String,
    at: Option<Revision>,
}

impl Asked {
    fn user(&self) -> Option<UserKey> {
        Some(user_key(id(&self.user)))
    }

    fn consistency(&self) -> Option<Consistency> {
        let requirement = self.at.clone().map(Requirement::AtLeastAsFresh);
        requirement.map(|requirement| Consistency {
            requirement: Some(requirement),
        })
    }

    fn resolve(&self) -> ResolveUserRequest {
        ResolveUserRequest {
            key: self.user(),
            consistency: self.consistency(),
            ..Default::default()
        }
    }

    fn users(&self) -> v1::BatchGetUsersRequest {
        v1::BatchGetUsersRequest {
            keys: self.user().into_iter().collect(),
            consistency: self.consistency(),
            ..Default::default()
        }
    }

    fn status(&self) -> v1::BatchGetUserStatusRequest {
        v1::BatchGetUserStatusRequest {
            keys: self.user().into_iter().collect(),
            consistency: self.consistency(),
        }
    }

    fn groups(&self) -> v1::GetEffectiveGroupsRequest {
        v1::GetEffectiveGroupsRequest {
            user: self.user(),
            consistency: self.consistency(),
            ..Default::default()
        }
    }

    fn membership(&self) -> CheckMembershipRequest {
        CheckMembershipRequest {
            consistency: self.consistency(),
            ..about(&self.user, vec![by_id(&self.group)])
        }
    }

    fn memberships(&self) -> v1::BatchCheckMembershipRequest {
        v1::BatchCheckMembershipRequest {
            questions: vec![MembershipQuestion {
                user: self.user(),
                group: Some(by_id(&self.group)),
            }],
            consistency: self.consistency(),
            ..Default::default()
        }
    }
}

const CASES: [Case; 6] = [
    Case {
        method: "ResolveUser",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().resolve_user(asked.resolve()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("ResolveUser", &asked.resolve()),
    },
    Case {
        method: "BatchGetUsers",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().batch_get_users(asked.users()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("BatchGetUsers", &asked.users()),
    },
    Case {
        method: "BatchGetUserStatus",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().batch_get_user_status(asked.status()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("BatchGetUserStatus", &asked.status()),
    },
    Case {
        method: "GetEffectiveGroups",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().get_effective_groups(asked.groups()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("GetEffectiveGroups", &asked.groups()),
    },
    Case {
        method: "CheckMembership",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().check_membership(asked.membership()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("CheckMembership", &asked.membership()),
    },
    Case {
        method: "BatchCheckMembership",
        ask: |grpc, asked| {
            let answer = wait(grpc.lookup().batch_check_membership(asked.memberships()))?;
            Ok(answer.into_inner().read_at)
        },
        late: |late, asked| late.call("BatchCheckMembership", &asked.memberships()),
    },
];

/// A user in a group of a world.
#[track_caller]
fn asked(world: &World) -> Asked {
    let user = world.person("ada", "ada@x.test");
    Asked {
        group: world.scim.group("Group", &[&user]),
        user,
        at: None,
    }
}

#[test]
fn every_lookup_has_its_case() {
    let policies = Policies::load().expect("a complete contract");
    let service = "/identity.directory.v1.DirectoryLookupService/";
    let methods = policies
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(service));
    let cases = CASES.iter().map(|case| case.method);
    assert_eq!(
        methods.collect::<BTreeSet<_>>(),
        cases.collect::<BTreeSet<_>>()
    );
}

#[test]
fn a_revision_is_reached_or_refused() {
    let (world, other) = (world(), world());
    let mut asked = asked(&world);
    let _ = other.person("bob", "bob@x.test");
    let ours = latest(&world.grpc);
    let torn = Revision {
        token: ours.token.chars().skip(1).collect(),
    };
    let words = Revision {
        token: "not a revision".to_owned(),
    };
    for case in CASES {
        asked.at = Some(ours.clone());
        let at = (case.ask)(&world.grpc, &asked).expect(case.method);
        assert_eq!(at, Some(ours.clone()), "{}", case.method);
        for revision in [
            latest(&other.grpc),
            Revision::default(),
            torn.clone(),
            words.clone(),
        ] {
            asked.at = Some(revision);
            let answer = (case.ask)(&world.grpc, &asked);
            refused(answer, Code::InvalidArgument, "REVISION_INVALID");
        }
    }
}

#[test]
fn a_revision_of_another_epoch_is_of_another_store() {
    let server = super::super::launch().start();
    let tenant = Tenant::create(&server);
    let world = World {
        scim: tenant.scim(),
        grpc: Service::full(&server, &tenant).grpc(),
        tenant,
    };
    let mut asked = asked(&world);
    asked.at = Some(latest(&world.grpc));
    let launch = server.launch().clone();
    assert_eq!(server.stop().status.code(), Some(0));
    let _ = launch.admin().run(&["epoch", "renew"]).code(0);
    let server = launch.start();
    let grpc = Service::full(&server, &world.tenant).grpc();
    for case in CASES {
        let answer = (case.ask)(&grpc, &asked);
        refused(answer, Code::FailedPrecondition, "STORE_EPOCH_MISMATCH");
    }
}

#[test]
fn a_deadline_that_has_passed_is_told() {
    let world = world();
    let asked = asked(&world);
    let late = Late {
        token: Service::full(super::super::server(), &world.tenant).token(),
    };
    for case in CASES {
        let code = (case.late)(&late, &asked);
        assert_eq!(code, Code::DeadlineExceeded, "{}", case.method);
    }
}
