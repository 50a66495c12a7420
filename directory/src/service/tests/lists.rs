//! Pages of lists, and the query plans of lists and lookups.

use super::*;

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let world = World::new().await;
    let mut created = Vec::new();
    for n in 0..450 {
        created.push(world.user(&format!("user-{n}")).await.view.resource.id);
    }
    for size in [1, 7, 200, 201, 400, 449, 450, 1_000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut page = crate::domain::page::PageRequest::new(size, 0, after).unwrap();
            page.count = true;
            let list = world.directory.list(
                &world.caller,
                ResourceKind::User,
                &EVERYTHING,
                &page,
                &Consistency::Strong,
            );
            let list = list.await.unwrap();
            assert_eq!(list.value.total, 450);
            seen.extend(list.value.items.into_iter().map(|view| view.resource.id));
            after = list.value.next;
            if after.is_none() || size < 200 && seen.len() > 20 {
                break;
            }
        }
        assert_eq!(seen, created[..seen.len()], "pages of {size}");
        assert!(size < 200 || seen.len() == 450);
    }
}

#[tokio::test]
async fn a_page_of_large_users_ends_early() {
    let world = World::new().await;
    let text = "x".repeat(crate::domain::conform::TEXT_LIMIT);
    for n in 0..90 {
        let attributes = object([("userName", &n.to_string()), ("title", &text)]);
        world
            .directory
            .create_user(&world.caller, attributes)
            .await
            .unwrap();
    }
    let page = crate::domain::page::PageRequest::new(1_000, 0, None).unwrap();
    let list = world.directory.list(
        &world.caller,
        ResourceKind::User,
        &EVERYTHING,
        &page,
        &Consistency::Strong,
    );
    let list = list.await.unwrap();
    assert!((1..90).contains(&list.value.items.len()));
    assert!(list.value.next.is_some());
}

/// Every list says how many there are, so that must not read who they are.
#[tokio::test]
async fn an_index_alone_counts() {
    let world = World::new().await;
    let tx = world.directory.store.single();
    for (kind, index) in [
        (ResourceKind::User, "COVERING INDEX ix_users_page"),
        (ResourceKind::Group, "COVERING INDEX ix_groups_page"),
    ] {
        let scope = world.caller.scope();
        let plan = crate::storage::resources::count_plan(&tx, scope, kind)
            .await
            .unwrap();
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
    }
}

/// What provisioning clients look up must not cost more with more users.
#[tokio::test]
async fn lookups_use_an_index_whatever_the_number_of_users() {
    use crate::domain::filter::{Field, Filter, Operator};
    const ENTERPRISE: &str = muster_proto::schema::ENTERPRISE_USER;

    let world = World::new().await;
    let tx = world.directory.store.single();
    for (schema, name, sub, index) in [
        ("", "userName", "", "uq_users_user_name"),
        ("", "externalId", "", "uq_external_ids_external_id"),
        ("", "displayName", "", "ix_users_display_name"),
        ("", "id", "", "autoindex_users"),
        ("", "emails", "value", "ix_user_values_lookup"),
        (ENTERPRISE, "employeeNumber", "", "ix_user_values_lookup"),
        (ENTERPRISE, "manager", "value", "ix_user_values_lookup"),
    ] {
        let kind = ResourceKind::User;
        let field = Field::find(kind.schema(), schema, name, sub).unwrap();
        let filter = Filter::compare(field, Operator::Equal, "x".into()).unwrap();
        let scope = world.caller.scope();
        let plan = crate::storage::resources::plan(&tx, scope, kind, &filter)
            .await
            .unwrap();
        assert!(
            plan.iter().any(|step| step.contains(index)),
            "{name}: {plan:#?}"
        );
        assert!(
            !plan.iter().any(|step| step.starts_with("SCAN r")),
            "{name}: {plan:#?}"
        );
        // Groups are found from the user's memberships, not the other way.
        let members = plan
            .iter()
            .position(|step| step.contains("ix_memberships_member"));
        let groups = plan.iter().position(|step| step.contains("g USING"));
        assert!(members.is_some() && members < groups, "{name}: {plan:#?}");
        assert!(
            !plan
                .iter()
                .any(|step| step.ends_with("ix_users_page (tenant_id=?)")),
            "{plan:#?}"
        );
    }
}
