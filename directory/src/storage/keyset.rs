//! Where a reader who comes page by page goes on.

use sea_orm::{
    ColumnTrait, ExprTrait as _, Value,
    sea_query::{Expr, SimpleExpr},
};

/// Rows behind a key, in the order of these columns.
///
/// Whole rows are compared, which both databases answer from an index over these
/// columns, beginning at that place. Said with AND and OR it is the same, but read from the
/// index's beginning: each page would take longer than the one before.
pub(super) fn behind<C: ColumnTrait, const N: usize>(
    columns: [C; N],
    key: [Value; N],
) -> SimpleExpr {
    let columns = columns.map(C::into_expr);
    Expr::tuple(columns).gt(Expr::tuple(key.map(Expr::val)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sea_orm::{
        DbBackend, EntityTrait, FromQueryResult, QueryFilter as _, QueryOrder as _,
        QueryTrait as _, Select,
    };

    use super::*;
    use crate::storage::{
        Store,
        entity::{changes, federated_identities, memberships},
    };

    /// How SQLite finds what lies behind a key, in order: one step, or what it sorts, too.
    async fn plan<E: EntityTrait, const N: usize>(
        store: &Store,
        query: Select<E>,
        columns: [E::Column; N],
    ) -> Vec<String> {
        #[derive(FromQueryResult)]
        struct Step {
            detail: String,
        }
        let key = [(); N].map(|()| 1.into());
        let mut query = query.filter(behind(columns, key));
        for column in columns {
            query = query.order_by_asc(column);
        }
        let mut statement = query.build(DbBackend::Sqlite);
        statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let steps = Step::find_by_statement(statement);
        let steps = steps.all(&store.single().connection()).await.unwrap();
        steps.into_iter().map(|step| step.detail).collect()
    }

    /// Removed with all that is in it.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_page_begins_at_its_place_in_the_index() {
        use changes::Column as Change;
        use federated_identities::Column as Identity;
        use memberships::Column as Membership;
        let name = format!("muster-keyset-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        let url = format!("sqlite://{}/test.db", folder.0.display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();

        let columns = [Membership::GroupId, Membership::MemberId];
        let members = plan(&store, memberships::Entity::find(), columns).await;
        let columns = [Identity::UserId, Identity::Issuer, Identity::Subject];
        let identities = plan(&store, federated_identities::Entity::find(), columns).await;
        // As the feed asks: of one tenant, up to a revision.
        let of_tenant = changes::Entity::find()
            .filter(Change::TenantId.eq("x"))
            .filter(Change::Revision.lte(9));
        let changes = plan(&store, of_tenant, [Change::Revision, Change::Part]).await;

        for (plan, range) in [
            (members, "((group_id,member_id)>(?,?))"),
            (identities, "((user_id,issuer,subject)>(?,?,?))"),
            (
                changes,
                "(tenant_id=? AND (revision,part)>(?,?) AND revision<?)",
            ),
        ] {
            let [step] = plan.as_slice() else {
                panic!("more than one step: {plan:?}");
            };
            assert!(
                step.starts_with("SEARCH ") && step.contains(range),
                "{step}"
            );
        }
    }
}
