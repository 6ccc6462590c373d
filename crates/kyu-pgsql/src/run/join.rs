//! FROM: rows of its sources, joined one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog;
use crate::host::{Host, ScanBounds};
use crate::parser::ast::JoinKind;
use crate::plan::walk::bare_column;
use crate::plan::{Join, JoinKey, Leaf, LeafKind, Plan, SelectPlan, Source, Typed};
use crate::run::execute::{Boxed, Executor, Result};
use crate::run::key;
use crate::types::Element;
use crate::types::value::{Row, Value};
use crate::work::{Work, row_bytes};

/// Up to so many rows look up their partners in the catalogue one by one; more are worth reading
/// all of it once.
const MAX_LOOK_UPS: usize = 256;

/// The way in which rows so far find those of the next source.
struct How<'a> {
    kind: JoinKind,
    keys: &'a [JoinKey],
    on: &'a [Typed],
    /// The number of values that a row has afterwards.
    width: usize,
}

impl<H: Host> Executor<'_, H> {
    /// Rows of FROM that WHERE lets pass.
    pub(crate) async fn input(
        &mut self,
        select: &SelectPlan,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        self.look_ahead(select, bounds).await?;
        let mut rows = vec![Row::new()];
        for item in &select.from {
            let mark = self.work.mark();
            let how =
                How { kind: JoinKind::Inner, keys: &item.keys, on: &[], width: item.source.end() };
            let first = matches!(rows.as_slice(), [row] if row.is_empty());
            rows = match &item.source {
                Source::Join(join)
                    if item.keys.is_empty() && (first || item.source.is_dependent()) =>
                {
                    self.join(join, rows, bounds).await?
                }
                source => self.joined(rows, source, &how, bounds).await?,
            };
            rows = self.filtered(rows, &item.filters).await?;
            self.work.keep(mark, &rows)?;
        }
        self.ahead.retain(|(at, _), _| *at != depth);
        self.filtered(rows, &select.filters).await
    }

    /// The first source may be a large one of the catalogue that a later join restricts, as in
    /// `pg_attribute a JOIN pg_class c ON a.attrelid = c.oid WHERE c.relname = 'q_x'`: the later one
    /// is read first, and tells which rows of the large one are worth looking up.
    async fn look_ahead(&mut self, select: &SelectPlan, bounds: &ScanBounds) -> Result<()> {
        let depth = self.stack.len() - 1;
        let Some(first) = select.from.first() else { return Ok(()) };
        let mut joins = Vec::new();
        let mut source = &first.source;
        while let Source::Join(join) = source {
            joins.push((join.kind, &join.keys, &*join.right));
            source = &join.left;
        }
        let Source::Leaf(leaf) = source else { return Ok(()) };
        let LeafKind::Catalog(relation) = leaf.kind else { return Ok(()) };
        if !leaf.bounds.is_empty() {
            return Ok(());
        }
        joins.reverse();
        let others = select.from.iter().skip(1);
        joins.extend(others.map(|item| (JoinKind::Inner, &item.keys, &item.source)));
        for (kind, keys, right) in joins {
            // Behind these, rows stand that no later condition is asked of.
            if matches!(kind, JoinKind::Right | JoinKind::Full) {
                return Ok(());
            }
            let Source::Leaf(other) = right else { continue };
            let catalog = matches!(other.kind, LeafKind::Catalog(_));
            if kind != JoinKind::Inner || !catalog || other.filters.is_empty() {
                continue;
            }
            let column = |key: &JoinKey| {
                let column = bare_column(&key.left, depth)?.checked_sub(leaf.offset)?;
                (column < leaf.width && catalog::is_keyed(relation, column)).then_some(column)
            };
            let Some((column, key)) = keys.iter().find_map(|key| Some((column(key)?, key))) else {
                continue;
            };
            let mark = self.work.mark();
            let rows = self.leaf(other, bounds).await?;
            if rows.len() <= MAX_LOOK_UPS {
                let mut values = Vec::with_capacity(rows.len());
                for row in rows.iter() {
                    self.replace_row(depth, row.clone());
                    values.extend(self.row(std::slice::from_ref(&key.right)).await?);
                }
                self.replace_row(depth, Row::new());
                let values = Value::Array(Element::Text, values);
                self.ahead.insert((depth, leaf.offset), (column, values));
            }
            self.work.back_to(mark);
            return Ok(());
        }
        Ok(())
    }

    /// Keeps the rows for which all conditions hold.
    async fn filtered(&mut self, rows: Vec<Row>, conditions: &[Typed]) -> Result<Vec<Row>> {
        if conditions.is_empty() {
            return Ok(rows);
        }
        let depth = self.stack.len() - 1;
        let mut kept = Vec::new();
        for row in rows {
            self.replace_row(depth, row);
            if self.passes(conditions).await? {
                kept.push(self.take_row(depth));
            }
        }
        Ok(kept)
    }

    fn take_row(&mut self, depth: usize) -> Row {
        self.stack.get_mut(depth).map(std::mem::take).unwrap_or_default()
    }

    /// Extends rows by those of a source.
    fn source<'b>(
        &'b mut self,
        source: &'b Source,
        rows: Vec<Row>,
        bounds: &'b ScanBounds,
    ) -> Boxed<'b, Vec<Row>> {
        Box::pin(async move {
            match source {
                Source::Join(join) => self.join(join, rows, bounds).await,
                Source::Leaf(leaf) => {
                    let width = leaf.offset + leaf.width;
                    let how = How { kind: JoinKind::Inner, keys: &[], on: &[], width };
                    self.joined(rows, source, &how, bounds).await
                }
            }
        })
    }

    /// `a JOIN b JOIN c ...` nests to the left: from the innermost on, without recursion.
    async fn join(&mut self, join: &Join, rows: Vec<Row>, bounds: &ScanBounds) -> Result<Vec<Row>> {
        let mut joins = vec![join];
        while let Some(Source::Join(inner)) = joins.last().map(|join| &*join.left) {
            joins.push(inner);
        }
        let mut rows = rows;
        if let Some(innermost) = joins.last() {
            rows = self.source(&innermost.left, rows, bounds).await?;
        }
        for Join { right, kind, keys, on, width, .. } in joins.into_iter().rev() {
            let mark = self.work.mark();
            let how = How { kind: *kind, keys, on, width: *width };
            rows = self.joined(rows, right, &how, bounds).await?;
            self.work.keep(mark, &rows)?;
        }
        Ok(rows)
    }

    /// Joins rows with a source.
    async fn joined(
        &mut self,
        lefts: Vec<Row>,
        right: &Source,
        how: &How<'_>,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        if right.is_dependent() {
            return self.laterally(lefts, right, how, bounds).await;
        }
        if let Some((leaf, column, at)) = looked_up(right, how, lefts.len(), self.stack.len()) {
            return self.by_look_up(lefts, leaf, column, at, how).await;
        }
        let rights = self.own_rows(right, bounds).await?;
        if how.is_product_of_one(&lefts) {
            return self.moved(rights, right.offset()).await;
        }
        self.by_hash(lefts, &rights, right.offset(), how).await
    }

    /// The first source has nothing before it: its rows are moved, not copied.
    async fn moved(&mut self, rights: Arc<Vec<Row>>, offset: usize) -> Result<Vec<Row>> {
        let mut rows = Arc::unwrap_or_clone(rights);
        if offset > 0 {
            for row in &mut rows {
                self.work.breathe().await?;
                row.splice(0..0, std::iter::repeat_n(Value::Null, offset));
            }
        }
        Ok(rows)
    }

    /// LATERAL: the source is asked for each row.
    async fn laterally(
        &mut self,
        lefts: Vec<Row>,
        right: &Source,
        how: &How<'_>,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        let mut joined = Vec::new();
        for left in lefts {
            let before = joined.len();
            for row in self.extended(right, left.clone(), bounds).await? {
                self.replace_row(depth, row);
                if self.agrees(how, right.offset(), depth).await? {
                    let row = self.take_row(depth);
                    self.admit(row, &mut joined)?;
                }
            }
            if joined.len() == before && how.kind == JoinKind::Left {
                self.alone(left, how.width, &mut joined)?;
            }
        }
        Ok(joined)
    }

    /// One row with each row of a source that depends on it.
    async fn extended(
        &mut self,
        right: &Source,
        left: Row,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        let Source::Leaf(leaf) = right else {
            return self.source(right, vec![left], bounds).await;
        };
        let depth = self.stack.len() - 1;
        self.replace_row(depth, left.clone());
        let own = self.leaf(leaf, bounds).await?;
        let mut rows = Vec::with_capacity(own.len());
        for values in own.iter() {
            self.work.breathe().await?;
            rows.push(beside(&left, values, leaf.offset));
        }
        Ok(rows)
    }

    /// True if the joined row, which is the current one, fulfils the whole condition.
    async fn agrees(&mut self, how: &How<'_>, offset: usize, depth: usize) -> Result<bool> {
        if !how.keys.is_empty() {
            let lefts: Vec<Typed> = how.keys.iter().map(|key| key.left.clone()).collect();
            let rights: Vec<Typed> = how.keys.iter().map(|key| key.right.clone()).collect();
            let mark = self.work.mark();
            let left = self.row(&lefts).await?;
            let whole = self.take_row(depth);
            self.replace_row(depth, whole.get(offset..).unwrap_or_default().to_vec());
            let right = self.row(&rights).await?;
            self.replace_row(depth, whole);
            self.work.back_to(mark);
            let equal = key::of_join(&left).is_some_and(|key| Some(key) == key::of_join(&right));
            if !equal {
                return Ok(false);
            }
        }
        self.passes(how.on).await
    }

    /// Each row looks its partners up in the catalogue.
    async fn by_look_up(
        &mut self,
        lefts: Vec<Row>,
        leaf: &Leaf,
        column: usize,
        at: usize,
        how: &How<'_>,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        let mut joined = Vec::new();
        for left in lefts {
            self.replace_row(depth, left);
            let mark = self.work.mark();
            let key = how.keys.get(at).map(|key| std::slice::from_ref(&key.left));
            let value = self.row(key.unwrap_or_default()).await?.pop();
            let left = self.take_row(depth);
            let found = match value {
                None | Some(Value::Null) => Vec::new(),
                Some(value) => self.catalog_rows(leaf, Some((column, value))).await?,
            };
            self.work.keep(mark, &found)?;
            // The other keys, and this one again: a look-up may find too much.
            let some = self.by_hash(vec![left], &found, leaf.offset, how).await?;
            for row in some {
                self.admit(row, &mut joined)?;
            }
        }
        Ok(joined)
    }

    /// All rows of a source that depends on none, without the values of those before it.
    fn own_rows<'b>(
        &'b mut self,
        source: &'b Source,
        bounds: &'b ScanBounds,
    ) -> Boxed<'b, Arc<Vec<Row>>> {
        Box::pin(async move {
            match source {
                Source::Leaf(leaf) => self.leaf(leaf, bounds).await,
                Source::Join(join) => {
                    let offset = source.offset();
                    let mut rows = self.join(join, vec![vec![Value::Null; offset]], bounds).await?;
                    for row in &mut rows {
                        self.work.breathe().await?;
                        row.drain(..offset.min(row.len()));
                    }
                    Ok(Arc::new(rows))
                }
            }
        })
    }

    /// Rows with equal keys find each other in a hash table; without keys, all are tried with all.
    async fn by_hash(
        &mut self,
        lefts: Vec<Row>,
        rights: &[Row],
        offset: usize,
        how: &How<'_>,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        let table = if how.keys.is_empty() { None } else { Some(self.table(rights, how).await?) };
        let keys: Vec<Typed> = how.keys.iter().map(|key| key.left.clone()).collect();
        let mut matched = vec![false; rights.len()];
        let mut joined = Vec::new();
        for left in lefts {
            let before = joined.len();
            let left = match &table {
                None => {
                    for (right, matched) in rights.iter().zip(&mut matched) {
                        *matched |= self.pair(&left, right, offset, how, &mut joined).await?;
                    }
                    left
                }
                Some(table) => {
                    self.replace_row(depth, left);
                    let mark = self.work.mark();
                    let values = self.row(&keys).await?;
                    self.work.back_to(mark);
                    let left = self.take_row(depth);
                    let found = key::of_join(&values).and_then(|key| table.get(&key));
                    for at in found.into_iter().flatten() {
                        let (Some(right), Some(matched)) = (rights.get(*at), matched.get_mut(*at))
                        else {
                            continue;
                        };
                        *matched |= self.pair(&left, right, offset, how, &mut joined).await?;
                    }
                    left
                }
            };
            if joined.len() == before && matches!(how.kind, JoinKind::Left | JoinKind::Full) {
                self.alone(left, how.width, &mut joined)?;
            }
        }
        if matches!(how.kind, JoinKind::Right | JoinKind::Full) {
            for (right, _) in rights.iter().zip(matched).filter(|(_, matched)| !matched) {
                self.work.breathe().await?;
                self.admit(beside(&[], right, offset), &mut joined)?;
            }
        }
        Ok(joined)
    }

    /// Places of rows by their keys.
    async fn table(
        &mut self,
        rights: &[Row],
        how: &How<'_>,
    ) -> Result<HashMap<Vec<u8>, Vec<usize>>> {
        let depth = self.stack.len() - 1;
        let exprs: Vec<Typed> = how.keys.iter().map(|key| key.right.clone()).collect();
        let mut table: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (at, right) in rights.iter().enumerate() {
            self.replace_row(depth, right.clone());
            let mark = self.work.mark();
            let values = self.row(&exprs).await?;
            self.work.back_to(mark);
            if let Some(key) = key::of_join(&values) {
                self.work.grow(key.len() + 4 * size_of::<usize>())?;
                table.entry(key).or_default().push(at);
            }
        }
        Ok(table)
    }

    /// Puts two rows together, if the rest of the condition holds.
    async fn pair(
        &mut self,
        left: &Row,
        right: &Row,
        offset: usize,
        how: &How<'_>,
        joined: &mut Vec<Row>,
    ) -> Result<bool> {
        self.work.breathe().await?;
        let row = beside(left, right, offset);
        self.work.walk(row.len() * size_of::<Value>())?;
        if how.on.is_empty() {
            self.admit(row, joined)?;
            return Ok(true);
        }
        let depth = self.stack.len() - 1;
        self.replace_row(depth, row);
        let holds = self.passes(how.on).await?;
        let row = self.take_row(depth);
        if holds {
            self.admit(row, joined)?;
        }
        Ok(holds)
    }

    /// A left row without a partner.
    fn alone(&mut self, left: Row, width: usize, joined: &mut Vec<Row>) -> Result<()> {
        let mut row = left;
        row.resize(width, Value::Null);
        self.admit(row, joined)
    }

    fn admit(&mut self, row: Row, joined: &mut Vec<Row>) -> Result<()> {
        Work::room(joined.len())?;
        self.work.grow(row_bytes(&row))?;
        joined.push(row);
        Ok(())
    }

    /// Rows of a leaf that fulfil its own conditions. Those of a WITH query are shared.
    async fn leaf(&mut self, leaf: &Leaf, bounds: &ScanBounds) -> Result<Arc<Vec<Row>>> {
        let mark = self.work.mark();
        let mut rows = match &leaf.kind {
            LeafKind::Relation(relation) => {
                let rows = self.host.scan(relation, bounds).await?;
                self.work.keep(mark, &rows)?;
                rows
            }
            LeafKind::Catalog(_) => return Ok(Arc::new(self.catalog_rows(leaf, None).await?)),
            LeafKind::Cte(id) if leaf.filters.is_empty() => return self.cte(*id).await,
            LeafKind::Cte(id) => Arc::unwrap_or_clone(self.cte(*id).await?),
            LeafKind::Query(plan) => self.subquery_here(plan).await?,
            LeafKind::Function(set) => self.set_rows(set).await?,
        };
        if leaf.ordinality {
            for (i, row) in rows.iter_mut().enumerate() {
                row.push(Value::Int(i64::try_from(i + 1).unwrap_or(i64::MAX)));
            }
        }
        Ok(Arc::new(self.filtered_here(rows, &leaf.filters).await?))
    }

    /// The same as [`Self::filtered`]; the row so far, which LATERAL has put there, is put back.
    async fn filtered_here(&mut self, rows: Vec<Row>, conditions: &[Typed]) -> Result<Vec<Row>> {
        if conditions.is_empty() {
            return Ok(rows);
        }
        let depth = self.stack.len() - 1;
        let aside = self.take_row(depth);
        let rows = self.filtered(rows, conditions).await?;
        self.replace_row(depth, aside);
        Ok(rows)
    }

    /// Rows of a relation of the catalogue: those that its conditions and the look-up ask for.
    async fn catalog_rows(
        &mut self,
        leaf: &Leaf,
        look_up: Option<(usize, Value)>,
    ) -> Result<Vec<Row>> {
        let LeafKind::Catalog(key) = &leaf.kind else { return Ok(Vec::new()) };
        let mut wanted = catalog::Wanted::default();
        if let Some((column, value)) = look_up {
            wanted.add(column, value);
        }
        if let Some((column, values)) = self.ahead.get(&(self.stack.len() - 1, leaf.offset)) {
            wanted.add(*column, values.clone());
        }
        for bound in &leaf.bounds {
            let mark = self.work.mark();
            let value = self.row(std::slice::from_ref(&bound.value)).await?.pop();
            self.work.back_to(mark);
            wanted.add(bound.column, value.unwrap_or(Value::Null));
        }
        let mark = self.work.mark();
        let rows = catalog::rows(key, &self.facts, &*self.session, &wanted, self.work)?;
        self.work.keep(mark, &rows)?;
        self.filtered_here(rows, &leaf.filters).await
    }

    /// A derived table sees the current row, if it is LATERAL.
    async fn subquery_here(&mut self, plan: &Plan) -> Result<Vec<Row>> {
        let depth = self.stack.len();
        let rows = self.query(plan).await;
        self.stack.truncate(depth);
        rows
    }
}

impl How<'_> {
    /// One empty row with all of the other side.
    fn is_product_of_one(&self, lefts: &[Row]) -> bool {
        let nothing = |row: &Row| row.iter().all(|value| *value == Value::Null);
        self.keys.is_empty()
            && self.on.is_empty()
            && matches!(lefts, [left] if nothing(left))
            && self.kind == JoinKind::Inner
    }
}

/// The leaf whose rows can be looked up by one of the keys: it, its column, and the key's place.
fn looked_up<'a>(
    right: &'a Source,
    how: &How<'_>,
    lefts: usize,
    stack: usize,
) -> Option<(&'a Leaf, usize, usize)> {
    let Source::Leaf(leaf) = right else { return None };
    let LeafKind::Catalog(relation) = leaf.kind else { return None };
    let possible = lefts <= MAX_LOOK_UPS
        && leaf.bounds.is_empty()
        && matches!(how.kind, JoinKind::Inner | JoinKind::Left);
    let depth = stack.checked_sub(1).filter(|_| possible)?;
    how.keys.iter().enumerate().find_map(|(at, key)| {
        let column = bare_column(&key.right, depth)?;
        catalog::is_keyed(relation, column).then_some((leaf, column, at))
    })
}

/// A row with the values of a source in their place.
fn beside(left: &[Value], right: &[Value], offset: usize) -> Row {
    let mut row = Vec::with_capacity(left.len().max(offset + right.len()));
    row.extend_from_slice(left);
    if row.len() < offset + right.len() {
        row.resize(offset + right.len(), Value::Null);
    }
    for (place, value) in row.iter_mut().skip(offset).zip(right) {
        place.clone_from(value);
    }
    row
}
