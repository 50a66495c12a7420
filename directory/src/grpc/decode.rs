//! From the wire to the domain.

use muster_proto::{
    resource::{group_to_object, user_to_object},
    schema::{Attribute, ResourceType, Target},
    v1::{
        self, ComparisonOperator, MemberRef, filter::Node, group_modification,
        issue_connection_token_request as issue, member_ref, patch_operation::Op as WireOp,
    },
    value::{Object, Value},
};
use prost::Message as _;

use crate::{
    auth::Caller,
    domain::{
        conform,
        filter::{DEPTH_LIMIT, Field, Filter, Operator},
        page::PageRequest,
        patch::{OPERATION_LIMIT, Op, Operation, Path},
        resource::ResourceKind,
        sort::Sort,
        version::Precondition,
    },
    error::{Error, Result},
    service::{ClientProof, Directory, MEMBER_LIMIT, Modification, Reference},
};

/// A user's attributes, without what the server gives.
pub(super) fn user(user: Option<v1::User>) -> Result<Object> {
    let user = user.ok_or_else(|| Error::invalid("user", "is required"))?;
    check_extensions(ResourceKind::User, user.extensions.keys())?;
    Ok(user_to_object(user))
}

/// A group's attributes, without what the server gives.
pub(super) fn group(group: Option<v1::Group>) -> Result<Object> {
    let group = group.ok_or_else(|| Error::invalid("group", "is required"))?;
    check_extensions(ResourceKind::Group, group.extensions.keys())?;
    Ok(group_to_object(group))
}

/// What has a field of its own must not come in a second time under its name.
fn check_extensions<'a>(
    kind: ResourceKind,
    mut urns: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let unregistered = |urn: &String| {
        matches!(
            kind.schema().find(urn, ""),
            Some(Target::WholeUnregistered(_))
        )
    };
    match urns.find(|urn| !unregistered(urn)) {
        Some(_) => Err(Error::invalid(
            "extensions",
            "must be named by URNs of schemas that have no field of their own",
        )),
        None => Ok(()),
    }
}

/// What proves an OAuth client. None is as good as a wrong one.
pub(super) fn client_proof(proof: Option<&issue::Proof>) -> Result<ClientProof<'_>> {
    match proof {
        Some(issue::Proof::ClientSecret(secret)) => Ok(ClientProof::Secret(secret)),
        Some(issue::Proof::ClientAssertion(jwt)) => Ok(ClientProof::Assertion(jwt)),
        None => Err(Error::CredentialInvalid),
    }
}

/// The condition under which a write is wanted.
pub(super) fn precondition(options: Option<&v1::WriteOptions>) -> Precondition {
    match options {
        Some(options) => Precondition::parse(&options.if_match).unless(&options.if_none_match),
        None => Precondition::default(),
    }
}

/// A page of a list that is told apart from others by its name and filter.
pub(super) fn page(
    directory: &Directory,
    list: &[u8],
    request: Option<v1::PageRequest>,
) -> Result<PageRequest> {
    let request = request.unwrap_or_default();
    let now = directory.now_ms();
    let after = directory
        .cursors()
        .open_page(list, &request.page_token, now)?;
    let mut page = PageRequest::new(request.page_size, request.skip, after)?;
    page.count = request.include_total_size || request.count_only;
    page.count_only = request.count_only;
    Ok(page)
}

/// What tells one list from another: whose it is, of what, its filter and its
/// order. An order is another one when schemas changed: the places in a list that
/// is sorted have keys of the attribute's type.
pub(super) fn list_identity(
    caller: &Caller,
    of: &str,
    filter: Option<&v1::Filter>,
    sort: Option<&v1::SortOrder>,
) -> Vec<u8> {
    let mut identity = format!("{}\n{of}\n", caller.tenant_id).into_bytes();
    if let Some(filter) = filter {
        identity.extend(filter.encode_length_delimited_to_vec());
    }
    if let Some(sort) = sort {
        identity.extend(b"\nsort\n");
        identity.extend(caller.profile.schema_version.to_be_bytes());
        identity.extend(sort.encode_to_vec());
    }
    identity
}

/// The same of a list of several kinds.
pub(super) fn search_identity(caller: &Caller, targets: &[v1::Target]) -> Vec<u8> {
    let mut identity = format!("{}\nresources\n", caller.tenant_id).into_bytes();
    if targets.iter().any(|target| target.sort.is_some()) {
        identity.extend(caller.profile.schema_version.to_be_bytes());
    }
    for target in targets {
        // What is shown of them does not tell one list from another.
        let target = v1::Target {
            read_mask: None,
            members_up_to: 0,
            ..target.clone()
        };
        identity.extend(target.encode_length_delimited_to_vec());
    }
    identity
}

/// An order of resources of a type.
pub(super) fn sort(resource: &ResourceType, sort: &v1::SortOrder) -> Result<Sort> {
    let path = sort.path.as_ref();
    let path = path.ok_or_else(|| Error::SortInvalid("an order has no path".to_owned()))?;
    if path.value_filter.is_some() {
        let rule = "an order has no conditions on elements";
        return Err(Error::SortInvalid(rule.to_owned()));
    }
    let names = (
        path.schema.as_str(),
        path.attribute.as_str(),
        path.sub_attribute.as_str(),
    );
    Sort::find(resource, names, sort.descending)
}

/// A filter on resources of a type.
pub(super) fn filter(resource: &ResourceType, filter: &v1::Filter) -> Result<Filter> {
    Decoder {
        resource,
        element: None,
        depth: 0,
    }
    .filter(filter)
}

struct Decoder<'a> {
    resource: &'a ResourceType,
    /// In brackets: the attribute in front of them.
    element: Option<&'static Attribute>,
    depth: usize,
}

impl Decoder<'_> {
    fn deeper(&self) -> Result<Self> {
        // Checked on the way down, before the tree exists.
        if self.depth >= DEPTH_LIMIT {
            return Err(invalid(format!(
                "a filter has at most {DEPTH_LIMIT} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..*self
        })
    }

    fn filter(&self, filter: &v1::Filter) -> Result<Filter> {
        let inner = self.deeper()?;
        match filter
            .node
            .as_ref()
            .ok_or_else(|| invalid("a filter has no node"))?
        {
            Node::And(list) => inner.list(list).map(Filter::And),
            Node::Or(list) => inner.list(list).map(Filter::Or),
            Node::Not(negated) => Ok(Filter::Not(Box::new(inner.filter(negated)?))),
            Node::Comparison(comparison) => inner.comparison(comparison),
            Node::Present(path) => inner.field(path).map(Filter::Present),
            Node::ValuePath(path) => inner.value_path(path),
        }
    }

    fn list(&self, list: &v1::FilterList) -> Result<Vec<Filter>> {
        if list.filters.is_empty() {
            return Err(invalid("a list of conditions is empty"));
        }
        list.filters
            .iter()
            .map(|filter| self.filter(filter))
            .collect()
    }

    fn comparison(&self, comparison: &v1::Comparison) -> Result<Filter> {
        let path = comparison
            .path
            .as_ref()
            .ok_or_else(|| invalid("a comparison has no path"))?;
        let operator = operator(comparison.operator())?;
        let value = comparison.value.clone().unwrap_or_default();
        if value.value.is_none() {
            return Err(invalid("a comparison has no value"));
        }
        Filter::compare(self.field(path)?, operator, value.into())
    }

    fn field(&self, path: &v1::AttributePath) -> Result<Field> {
        if path.value_filter.is_some() {
            return Err(invalid("use value_path for conditions on elements"));
        }
        match self.element {
            Some(attribute) if path.schema.is_empty() && path.sub_attribute.is_empty() => {
                Field::element(attribute, &path.attribute)
            }
            Some(_) => Err(invalid("in brackets a path is a sub-attribute")),
            None => Field::find(
                self.resource,
                &path.schema,
                &path.attribute,
                &path.sub_attribute,
            ),
        }
    }

    fn value_path(&self, node: &v1::ValuePathFilter) -> Result<Filter> {
        let (Some(path), Some(filter)) = (&node.path, &node.filter) else {
            return Err(invalid("a value path needs a path and a filter"));
        };
        let field = match self.element {
            Some(_) => return Err(invalid("brackets do not nest")),
            None => self.field(path)?,
        };
        let attribute = match &field {
            Field::Attribute {
                attribute,
                sub: None,
                ..
            } if attribute.multi_valued => *attribute,
            _ => return Err(invalid(format!("{:?} is not multi-valued", path.attribute))),
        };
        let inner = Self {
            element: Some(attribute),
            ..*self
        };
        Ok(Filter::Element(field, Box::new(inner.filter(filter)?)))
    }
}

fn operator(operator: ComparisonOperator) -> Result<Operator> {
    Ok(match operator {
        ComparisonOperator::Unspecified => return Err(invalid("a comparison has no operator")),
        ComparisonOperator::Equal => Operator::Equal,
        ComparisonOperator::NotEqual => Operator::NotEqual,
        ComparisonOperator::Contains => Operator::Contains,
        ComparisonOperator::StartsWith => Operator::StartsWith,
        ComparisonOperator::EndsWith => Operator::EndsWith,
        ComparisonOperator::GreaterThan => Operator::Greater,
        ComparisonOperator::GreaterOrEqual => Operator::GreaterOrEqual,
        ComparisonOperator::LessThan => Operator::Less,
        ComparisonOperator::LessOrEqual => Operator::LessOrEqual,
    })
}

/// PATCH operations. One without a path stands for one per attribute of its
/// value.
pub(super) fn operations(
    resource: &'static ResourceType,
    operations: Vec<v1::PatchOperation>,
) -> Result<Vec<Operation>> {
    check_count("operations", operations.len(), OPERATION_LIMIT)?;
    let decoded = operations
        .into_iter()
        .map(|operation| self::operation(resource, operation));
    let decoded = decoded.collect::<Result<Vec<_>>>()?;
    // One without a path stands for many.
    let count = decoded.iter().map(Vec::len).sum();
    check_count("operations", count, OPERATION_LIMIT)?;
    Ok(decoded.into_iter().flatten().collect())
}

fn operation(
    resource: &'static ResourceType,
    operation: v1::PatchOperation,
) -> Result<Vec<Operation>> {
    let op = match operation.op() {
        WireOp::Unspecified => return Err(Error::invalid("operations.op", "is required")),
        WireOp::Add => Op::Add,
        WireOp::Replace => Op::Replace,
        WireOp::Remove => Op::Remove,
    };
    let value = operation.value.map_or(Value::Null, Into::into);
    let Some(path) = operation.path else {
        return pathless(resource, op, value);
    };
    Ok(vec![Operation {
        op,
        path: self::path(resource, path)?,
        value,
        require_target: operation.require_target,
    }])
}

fn pathless(resource: &'static ResourceType, op: Op, value: Value) -> Result<Vec<Operation>> {
    let (Value::Complex(attributes), Op::Add | Op::Replace) = (value, op) else {
        let rule = "without a path must name attributes";
        return Err(Error::invalid("operations.value", rule));
    };
    let operation = |(name, value): (String, Value)| {
        let path = if muster_proto::schema::is_urn(&name) {
            Path::find(resource, &name, "", "")
        } else {
            Path::find(resource, "", &name, "")
        };
        Ok(Operation {
            op,
            path: path?,
            value,
            require_target: false,
        })
    };
    attributes.into_iter().map(operation).collect()
}

fn path(resource: &'static ResourceType, path: v1::AttributePath) -> Result<Path> {
    let found = Path::find(resource, &path.schema, &path.attribute, &path.sub_attribute)?;
    match (found, path.value_filter) {
        (found, None) => Ok(found),
        (
            Path::Attribute {
                schema,
                attribute,
                sub,
                ..
            },
            Some(filter),
        ) if attribute.multi_valued => {
            let decoder = Decoder {
                resource,
                element: Some(attribute),
                depth: 0,
            };
            let select = decoder.filter(&filter)?;
            select.check_size()?;
            Ok(Path::Attribute {
                schema,
                attribute,
                select: Some(select),
                sub,
            })
        }
        (_, Some(_)) => Err(Error::PathInvalid(path.attribute)),
    }
}

/// Steps of a change to a group.
pub(super) fn modifications(
    resource: &'static ResourceType,
    modifications: Vec<v1::GroupModification>,
) -> Result<Vec<Modification>> {
    check_count("modifications", modifications.len(), OPERATION_LIMIT)?;
    let mut named = 0;
    let mut steps = Vec::with_capacity(modifications.len());
    for modification in modifications {
        let (step, require_target) = (modification.modification, modification.require_target);
        let step = step.ok_or_else(|| Error::invalid("modifications", "has an empty one"))?;
        for step in modification_steps(resource, step, require_target)? {
            if let Modification::Add(refs)
            | Modification::Remove(refs)
            | Modification::Replace(refs) = &step
            {
                named += refs.len();
            }
            steps.push(step);
        }
    }
    check_count("members", named, MEMBER_LIMIT)?;
    check_count("modifications", steps.len(), OPERATION_LIMIT)?;
    Ok(steps)
}

fn modification_steps(
    resource: &'static ResourceType,
    step: group_modification::Modification,
    require_target: bool,
) -> Result<Vec<Modification>> {
    use group_modification::Modification as Wire;
    let single = match step {
        Wire::Patch(operation) => {
            let operations = self::operation(resource, operation)?;
            if operations.iter().any(is_about_members) {
                return Err(Error::PathInvalid("members".to_owned()));
            }
            return Ok(operations.into_iter().map(Modification::Patch).collect());
        }
        Wire::ReplaceAttributes(group) => {
            Modification::ReplaceAttributes(self::group(Some(group))?)
        }
        Wire::AddMembers(list) => Modification::Add(references(list.members)?),
        Wire::RemoveMembers(list) => Modification::Remove(references(list.members)?),
        Wire::ReplaceMembers(list) => Modification::Replace(references(list.members)?),
        Wire::ClearMembers(true) => Modification::Replace(Vec::new()),
        Wire::ClearMembers(false) => {
            let field = "modifications.clear_members";
            return Err(Error::invalid(field, "must be true, or be left out"));
        }
        Wire::RemoveMatchingMembers(filter) => Modification::RemoveMatching {
            filter: members(&filter)?,
            require_target,
        },
    };
    Ok(vec![single])
}

/// Members are no attribute of the group here: their cost must not follow the
/// group's size.
fn is_about_members(operation: &Operation) -> bool {
    matches!(&operation.path, Path::Attribute { attribute, .. } if attribute.name == "members")
}

fn members(filter: &v1::Filter) -> Result<Filter> {
    let resource = ResourceKind::Group.schema();
    let element = resource.core_attribute("members");
    let filter = Decoder {
        resource,
        element,
        depth: 0,
    }
    .filter(filter)?;
    filter.check_size()?;
    Ok(filter)
}

/// Names of members.
pub(super) fn references(members: Vec<MemberRef>) -> Result<Vec<Reference>> {
    check_count("members", members.len(), MEMBER_LIMIT)?;
    members.into_iter().map(reference).collect()
}

fn reference(member: MemberRef) -> Result<Reference> {
    let reference = match member.member {
        Some(member_ref::Member::UserId(id)) => Reference::User(id),
        Some(member_ref::Member::GroupId(id)) => Reference::Group(id),
        Some(member_ref::Member::Id(id)) => Reference::Id(id),
        Some(member_ref::Member::Any(text)) => Reference::Any(text),
        None => return Err(Error::invalid("members", "has an empty one")),
    };
    match &reference {
        Reference::User(text)
        | Reference::Group(text)
        | Reference::Id(text)
        | Reference::Any(text)
            if text.is_empty() || text.len() > conform::TEXT_LIMIT || text.contains('\0') =>
        {
            Err(Error::invalid(
                "members.value",
                "must be the id of a user or group",
            ))
        }
        _ => Ok(reference),
    }
}

pub(super) fn check_count(what: &'static str, count: usize, limit: usize) -> Result<()> {
    if count > limit {
        return Err(Error::TooMany { what, limit });
    }
    Ok(())
}

fn invalid(what: impl Into<String>) -> Error {
    Error::FilterInvalid(what.into())
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::*;

    fn path(attribute: &str, sub: &str) -> v1::AttributePath {
        v1::AttributePath {
            attribute: attribute.to_owned(),
            sub_attribute: sub.to_owned(),
            ..v1::AttributePath::default()
        }
    }

    fn present(attribute: &str) -> v1::Filter {
        v1::Filter {
            node: Some(Node::Present(Box::new(path(attribute, "")))),
        }
    }

    #[test]
    fn a_tree_is_bounded_before_it_is_built() {
        let mut deep = present("title");
        for _ in 0..90 {
            deep = v1::Filter {
                node: Some(Node::Not(Box::new(deep))),
            };
        }
        assert!(matches!(filter(&USER, &deep), Err(Error::FilterInvalid(_))));
    }

    #[test]
    fn incomplete_trees_are_refused() {
        let comparison = v1::Comparison {
            path: Some(Box::new(path("title", ""))),
            operator: ComparisonOperator::Equal.into(),
            value: None,
        };
        for node in [
            None,
            Some(Node::And(v1::FilterList::default())),
            Some(Node::Comparison(Box::default())),
            Some(Node::Comparison(Box::new(comparison))),
            Some(Node::ValuePath(Box::default())),
        ] {
            assert!(filter(&USER, &v1::Filter { node }).is_err());
        }
    }

    #[test]
    fn brackets_hold_sub_attributes_alone() {
        let bracket = |attribute: &str, inner: v1::Filter| v1::Filter {
            node: Some(Node::ValuePath(Box::new(v1::ValuePathFilter {
                path: Some(Box::new(path(attribute, ""))),
                filter: Some(Box::new(inner)),
            }))),
        };
        assert!(filter(&USER, &bracket("emails", present("type"))).is_ok());
        assert!(filter(&USER, &bracket("emails", present("userName"))).is_err());
        assert!(filter(&USER, &bracket("title", present("type"))).is_err());
        let nested = bracket("emails", bracket("emails", present("type")));
        assert!(filter(&USER, &nested).is_err());
    }

    #[test]
    fn an_operation_without_path_stands_for_many() {
        let value = Value::Complex(
            [("title", "x"), ("nickName", "y")]
                .map(|(n, v)| (n.to_owned(), v.into()))
                .into(),
        );
        let operation = v1::PatchOperation {
            op: WireOp::Replace.into(),
            path: None,
            value: Some(value.into()),
            ..Default::default()
        };
        let decoded =
            operations(ResourceKind::User.schema(), vec![operation]).expect("both are known");
        assert_eq!(decoded.len(), 2);
    }
}
