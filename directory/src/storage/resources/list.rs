//! Lists of users and groups: filtered, counted, in pages.
//!
//! A list in the order of ids is read row by row. Any other list, and one that
//! leaves results out, first finds the ids of its page among narrow rows, and
//! then reads only what is shown.

use std::{cmp::Ordering, collections::HashMap};

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Found, Reach, Reader, Row, type_number};
use crate::{
    domain::{
        filter::Filter,
        history::Position,
        page::{Page, PageRequest, Place},
        resource::ResourceKind,
        sort::Sort,
    },
    error::{Error, Result},
    storage::{
        Scope, Tx,
        filter::Compiler,
        history, members,
        order::{KeyColumns, Order},
        relations::Wants,
        sql::Sql,
    },
};

/// What is wanted of a list.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Only what satisfies it.
    pub filter: Option<&'a Filter>,
    /// In which order; unset: that of the ids.
    pub sort: Option<&'a Sort>,
    /// Whether deleted ones count.
    pub reach: Reach,
    /// What the representation says about others.
    pub wants: Wants,
}

/// Rows read by one statement.
const BATCH: usize = 100;

/// Where a page of large documents ends before it is full, in bytes: an answer
/// must fit a message and memory.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Most members of groups in one page.
const PAGE_MEMBERS: usize = 10_000;

/// Resources of one kind, and when this was so.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    selection: &Selection<'_>,
    page: &PageRequest,
) -> Result<(Page<Found>, Position)> {
    let listing = Listing::new(tx, scope, &[(kind, *selection)]);
    listing.read(page).await
}

/// Resources of several kinds in one list, and when this was so.
///
/// # Errors
/// The database's.
pub async fn search(
    tx: &Tx,
    scope: Scope<'_>,
    selections: &[(ResourceKind, Selection<'_>)],
    page: &PageRequest,
) -> Result<(Page<Found>, Position)> {
    Listing::new(tx, scope, selections).read(page).await
}

/// A list that is wanted.
struct Listing<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    order: Order,
    /// One for each kind of resource.
    parts: Vec<Part<'a>>,
}

/// What a list has of one kind.
struct Part<'a> {
    reader: Reader<'a>,
    /// Follows the condition that finds the tenant's rows.
    wanted: Sql,
    /// Columns of the order.
    keys: Sql,
}

/// A result, by what places it in the list.
#[derive(Debug, FromQueryResult)]
struct Entry {
    kind: i64,
    id: String,
    #[sea_orm(nested)]
    key: KeyColumns,
}

impl<'a> Listing<'a> {
    fn new(tx: &'a Tx, scope: Scope<'a>, selections: &[(ResourceKind, Selection<'_>)]) -> Self {
        let order = Order::new(tx.dialect(), selections.iter().map(|(_, s)| s.sort));
        let part = |(kind, selection): &(ResourceKind, Selection<'_>)| {
            let (kind, reach) = (*kind, selection.reach);
            let compiler = Compiler {
                dialect: tx.dialect(),
                kind,
                reach,
                scope,
            };
            Part {
                keys: order.columns(&compiler, selection.sort),
                reader: Reader {
                    tx,
                    scope,
                    kind,
                    reach,
                    wants: selection.wants,
                },
                wanted: selection.filter.map_or_else(Sql::default, |filter| {
                    Sql::new(" AND ").then(compiler.condition(filter))
                }),
            }
        };
        Self {
            tx,
            scope,
            order,
            parts: selections.iter().map(part).collect(),
        }
    }

    async fn read(&self, page: &PageRequest) -> Result<(Page<Found>, Position)> {
        if page.count_only {
            let page = Page {
                items: Vec::new(),
                next: None,
                total: self.count().await?,
            };
            return Ok((page, self.position().await?));
        }
        let (items, next) = match self.parts.as_slice() {
            [part] if page.skip == 0 && !self.order.is_sorted() => part.in_order(page).await?,
            _ => self.found(page).await?,
        };
        let total = match (page.count, &next, items.len()) {
            (false, ..) => 0,
            // The page ends the list, so its place tells the length.
            (true, None, found) if page.after.is_none() && (found > 0 || page.skip == 0) => page
                .skip
                .saturating_add(i64::try_from(found).unwrap_or(i64::MAX)),
            (true, ..) => self.count().await?,
        };
        let position = match items.first() {
            Some((_, position)) => position.clone(),
            None => self.position().await?,
        };
        let mut items: Vec<_> = items.into_iter().map(|(found, _)| found).collect();
        self.add_members(&mut items).await?;
        Ok((Page { items, next, total }, position))
    }

    /// Gives the groups of a page their members, where they are wanted and few.
    async fn add_members(&self, items: &mut [Found]) -> Result<()> {
        let is_group = |(resource, _): &Found| resource.kind == ResourceKind::Group;
        let wants = self
            .parts
            .iter()
            .map(|part| (part.reader.kind, part.reader.wants));
        let mut wanted = wants.filter(|(kind, wants)| wants.has_members(*kind));
        let Some((_, wants)) = wanted.next() else {
            return Ok(());
        };
        let groups = items.iter().filter(|found| is_group(found));
        let groups: Vec<_> = groups.map(|(group, _)| group.id.as_str()).collect();
        let mut few = members::few(self.tx, &groups, wants.members_up_to).await?;
        let mut room = PAGE_MEMBERS;
        for (group, relations) in items.iter_mut().filter(|found| is_group(found)) {
            let Some(members) = few.remove(&group.id) else {
                continue;
            };
            if members.len() > room {
                break;
            }
            room -= members.len();
            relations.members = Some(members);
        }
        Ok(())
    }

    async fn count(&self) -> Result<i64> {
        let mut total = 0;
        for part in &self.parts {
            total += part.count().await?;
        }
        Ok(total)
    }

    async fn position(&self) -> Result<Position> {
        let position = history::position(self.tx, self.scope.tenant_id).await?;
        position.ok_or_else(|| Error::internal("the tenant has no head"))
    }

    /// The results of a page, and where the list goes on.
    async fn found(&self, page: &PageRequest) -> Result<(Vec<Dated>, Option<Place>)> {
        let mut entries = self.entries(page).await?;
        let mut more = entries.len() > page.size;
        entries.truncate(page.size);
        let (mut found, mut bytes, mut last) = (Vec::with_capacity(entries.len()), 0, None);
        'page: for entries in entries.chunks(BATCH) {
            let mut rows = self.rows(entries).await?;
            for entry in entries {
                let Some((kind, row)) = rows.remove(&entry.id) else {
                    continue;
                };
                bytes += row.size();
                if bytes > PAGE_BYTES && !found.is_empty() {
                    more = true;
                    break 'page;
                }
                found.push(row.dated(kind)?);
                last = Some(self.place(entry));
            }
        }
        Ok((found, last.filter(|_| more)))
    }

    /// The entries of a page, and one more where the list goes on.
    async fn entries(&self, page: &PageRequest) -> Result<Vec<Entry>> {
        let size = i64::try_from(page.size).unwrap_or(i64::MAX - 1) + 1;
        let (order, after) = (self.order.clause(), page.after.as_ref());
        let parts = self.parts.iter().map(|part| {
            let entries = part.entries(self.order, after);
            if self.parts.len() == 1 {
                return entries;
            }
            // Each part gives no more than the page can reach.
            let reached = page.skip.saturating_add(size);
            Sql::new("SELECT * FROM (")
                .then(entries)
                .text(&format!(" ORDER BY {order}id LIMIT ?) AS part"))
                .bind(reached)
        });
        let kind = if self.parts.len() == 1 { "" } else { "kind, " };
        let sql = Sql::new(format!("SELECT kind, id, {} FROM (", self.order.shown()))
            .then(Sql::join(parts, " UNION ALL ", ""))
            .text(&format!(
                ") AS entry ORDER BY {order}{kind}id LIMIT ? OFFSET ?"
            ))
            .bind(size)
            .bind(page.skip);
        let connection = &self.tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        Ok(Entry::find_by_statement(statement).all(connection).await?)
    }

    fn place(&self, entry: &Entry) -> Place {
        let mut kinds = self.parts.iter().map(|part| part.reader.kind);
        let kind = kinds.find(|kind| type_number(*kind) == entry.kind);
        Place {
            key: self.order.key(&entry.key),
            kind: kind.filter(|_| self.parts.len() > 1),
            id: entry.id.clone(),
        }
    }

    /// The rows of these entries, by id.
    async fn rows(&self, entries: &[Entry]) -> Result<HashMap<String, (ResourceKind, Row)>> {
        let mut rows = HashMap::with_capacity(entries.len());
        for part in &self.parts {
            let kind = part.reader.kind;
            let own = entries.iter().filter(|e| e.kind == type_number(kind));
            let ids: Vec<_> = own.map(|entry| entry.id.as_str()).collect();
            if ids.is_empty() {
                continue;
            }
            let among = Sql::new(" AND r.id IN (").then(Sql::list(ids)).text(")");
            let found = part.reader.select(among).await?;
            rows.extend(found.into_iter().map(|row| (row.id.clone(), (kind, row))));
        }
        Ok(rows)
    }
}

/// A result, and when it was so.
type Dated = (Found, Position);

impl Row {
    /// How long its texts are.
    pub(super) fn size(&self) -> usize {
        self.document.len() + self.groups.as_ref().map_or(0, String::len)
    }

    fn dated(self, kind: ResourceKind) -> Result<Dated> {
        let position = self.position();
        Ok((self.into_found(kind)?, position))
    }
}

impl Part<'_> {
    /// A page in the order of ids, and where the list goes on.
    async fn in_order(&self, page: &PageRequest) -> Result<(Vec<Dated>, Option<Place>)> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut last = page.after.as_ref().map(|place| place.id.clone());
        loop {
            // One more than is missing tells whether the list goes on.
            let limit = (page.size - found.len()).min(BATCH) + 1;
            let batch = self.batch(last.as_deref(), limit).await?;
            let more = batch.len() == limit;
            for row in batch.into_iter().take(limit - 1) {
                bytes += row.size();
                if bytes > PAGE_BYTES && !found.is_empty() {
                    return Ok((found, last.map(Place::of)));
                }
                last = Some(row.id.clone());
                found.push(row.dated(self.reader.kind)?);
            }
            if !more || found.len() == page.size {
                return Ok((found, last.filter(|_| more).map(Place::of)));
            }
        }
    }

    async fn batch(&self, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let mut wanted = self.wanted.clone();
        if let Some(after) = after {
            wanted = wanted.then(Sql::new(" AND r.id > ?").bind(after));
        }
        let end = Sql::new(" ORDER BY r.id LIMIT ?").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        self.reader.select(wanted.then(end)).await
    }

    /// Kind, id and key of what the list has behind a place.
    fn entries(&self, order: Order, after: Option<&Place>) -> Sql {
        let kind = self.reader.kind;
        let entries = Sql::new(format!(
            "SELECT CAST({} AS BIGINT) AS kind, r.id AS id",
            type_number(kind)
        ))
        .then(self.keys.clone())
        .text(" ")
        .then(self.reader.rows())
        .then(self.wanted.clone());
        let entries = Sql::new("SELECT * FROM (").then(entries).text(") AS part");
        let Some(place) = after else {
            return entries;
        };
        let other = place.kind.unwrap_or(kind);
        let tie = match type_number(kind).cmp(&type_number(other)) {
            Ordering::Equal => Sql::new("id > ?").bind(place.id.as_str()),
            Ordering::Less => Sql::new("FALSE"),
            Ordering::Greater => Sql::new("TRUE"),
        };
        let behind = match &place.key {
            Some(key) => order.behind(key, tie),
            None => tie,
        };
        entries.text(" WHERE ").then(behind)
    }

    async fn count(&self) -> Result<i64> {
        let sql = counting(&self.reader).then(self.wanted.clone());
        let connection = &self.reader.tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        let row = Count::find_by_statement(statement).one(connection).await?;
        Ok(row.map_or(0, |count| count.total))
    }
}

/// Counts all that there are, if no conditions follow.
fn counting(reader: &Reader<'_>) -> Sql {
    Sql::new("SELECT COUNT(*) AS total ").then(reader.rows())
}

#[derive(Debug, FromQueryResult)]
struct Count {
    total: i64,
}

/// How the database finds what a filter asks for, for tests.
#[cfg(test)]
pub(crate) async fn plan(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    filter: &Filter,
) -> Result<Vec<String>> {
    let compiler = Compiler {
        dialect: tx.dialect(),
        kind,
        reach: Reach::Live,
        scope,
    };
    let condition = compiler.condition(filter);
    let rest = Sql::new(" AND ")
        .then(condition)
        .text(" ORDER BY r.id LIMIT 101");
    explain(tx, live_reader(tx, scope, kind).selection(rest)).await
}

/// How the database counts what there is, for tests.
#[cfg(test)]
pub(crate) async fn count_plan(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
) -> Result<Vec<String>> {
    explain(tx, counting(&live_reader(tx, scope, kind))).await
}

#[cfg(test)]
fn live_reader<'a>(tx: &'a Tx, scope: Scope<'a>, kind: ResourceKind) -> Reader<'a> {
    Reader {
        tx,
        scope,
        kind,
        reach: Reach::Live,
        wants: Wants::ALL,
    }
}

#[cfg(test)]
async fn explain(tx: &Tx, sql: Sql) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Step {
        detail: String,
    }
    let sql = Sql::new("EXPLAIN QUERY PLAN ").then(sql);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let steps = Step::find_by_statement(statement).all(connection).await?;
    Ok(steps.into_iter().map(|step| step.detail).collect())
}
