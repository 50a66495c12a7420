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
    use sea_orm::{
        DbBackend, EntityTrait, FromQueryResult, QueryFilter as _, QueryOrder as _, QueryTrait as _,
    };

    use super::*;
    use crate::storage::{
        Store,
        entity::{changes, federated_identities, memberships},
    };

    /// How SQLite finds what lies behind a key of texts, in order.
    async fn plan<E: EntityTrait, const N: usize>(
        store: &Store,
        columns: [E::Column; N],
    ) -> String {
        #[derive(FromQueryResult)]
        struct Step {
            detail: String,
        }
        let key = [(); N].map(|()| "x".into());
        let mut query = E::find().filter(behind(columns, key));
        for column in columns {
            query = query.order_by_asc(column);
        }
        let mut statement = query.build(DbBackend::Sqlite);
        statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let steps = Step::find_by_statement(statement);
        let steps = steps.all(&store.single().connection()).await.unwrap();
        let steps: Vec<_> = steps.into_iter().map(|step| step.detail).collect();
        steps.join("; ")
    }

    /// One search, which begins at the key, and no sorting after it.
    #[tokio::test]
    async fn a_page_begins_at_its_place_in_the_index() {
        use federated_identities::Column as Identity;
        let folder = std::env::temp_dir().join(format!("muster-keyset-{}", std::process::id()));
        let url = format!("sqlite://{}/test.db", folder.display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();

        let columns = [memberships::Column::GroupId, memberships::Column::MemberId];
        let plan_of_two = plan::<memberships::Entity, 2>(&store, columns).await;
        let columns = [Identity::UserId, Identity::Issuer, Identity::Subject];
        let plan_of_three = plan::<federated_identities::Entity, 3>(&store, columns).await;
        let columns = [changes::Column::TenantId, changes::Column::Revision];
        let plan_of_a_part = plan::<changes::Entity, 2>(&store, columns).await;
        drop(store);
        std::fs::remove_dir_all(&folder).unwrap();

        for (plan, table, range) in [
            (plan_of_two, "memberships", "(group_id,member_id)>(?,?)"),
            (
                plan_of_three,
                "federated_identities",
                "(user_id,issuer,subject)>(?,?,?)",
            ),
            (plan_of_a_part, "changes", "(tenant_id,revision)>(?,?)"),
        ] {
            assert!(plan.starts_with(&format!("SEARCH {table} ")), "{plan}");
            assert!(plan.contains(range), "{plan}");
            assert!(!plan.contains("; "), "{plan}");
        }
    }
}
