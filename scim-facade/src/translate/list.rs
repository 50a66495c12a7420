//! Pages and projections as the directory's messages.

use muster_proto::{schema::Kind, v1};
use prost_types::FieldMask;

use super::filter::wire_path;
use crate::scim::{
    error::ScimError,
    list::{Page, Paging},
    path::{AttrPath, Definition},
    projection::{Projection, is_hidden},
};

/// A page, with the total.
pub fn page_request(paging: &Paging) -> v1::PageRequest {
    let page = v1::PageRequest {
        include_total_size: true,
        ..v1::PageRequest::default()
    };
    match paging {
        Paging::Index(Page { start_index, count }) => v1::PageRequest {
            page_size: *count,
            skip: start_index - 1,
            count_only: *count == 0,
            ..page
        },
        Paging::Cursor { cursor, count } => v1::PageRequest {
            page_size: *count,
            page_token: cursor.clone(),
            count_only: *count == 0,
            ..page
        },
    }
}

/// The order of a list by this attribute. A complex one is sorted by its
/// `value` (RFC 7644 section 3.4.2.3).
///
/// # Errors
/// `invalidPath` for an attribute that has no value of its own, or none that is
/// ever shown.
pub fn sort_order(path: AttrPath, descending: bool) -> Result<v1::SortOrder, ScimError> {
    let path = match path.definition {
        Definition::Attribute(attribute) if attribute.kind == Kind::Complex => {
            path.with_sub("value")
        }
        Definition::Extension(_) => None,
        Definition::Unregistered if path.attribute.is_empty() => None,
        _ => Some(path),
    };
    let path = path.filter(|path| !is_hidden(path));
    let path = path.ok_or_else(|| ScimError::invalid_path("sortBy names no single value."))?;
    Ok(v1::SortOrder {
        path: Some(wire_path(&path)),
        descending,
    })
}

/// The fields of a user that the client wants. `None`, all of them, unless
/// that spares the directory the search for the user's groups. Whose token shows no
/// personal data names no field: what is not his to see is left out of an answer,
/// where the directory refuses to be asked for it.
pub fn user_mask(projection: &Projection, personal_data: bool) -> Option<FieldMask> {
    if !personal_data || projection.wants("", "groups") {
        return None;
    }
    // Never empty: an empty mask means all fields.
    let mut paths = vec!["id".to_owned()];
    for (schema, attribute) in projection.wanted()? {
        let path = match schema {
            // It is told by the others.
            "" if attribute == "schemas" => continue,
            "" => snake_case(attribute),
            muster_proto::schema::ENTERPRISE_USER => "enterprise".to_owned(),
            _ => "extensions".to_owned(),
        };
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Some(FieldMask { paths })
}

/// The field of the message that carries an attribute: RFC 7643 writes
/// camelCase, protobuf snake_case.
fn snake_case(name: &str) -> String {
    let mut field = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            field.push('_');
        }
        field.push(c.to_ascii_lowercase());
    }
    field
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::*;
    use crate::scim::flavor::Flavor;

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, expected: Option<&str>) {
        let projection = Projection::parse(attributes, excluded, &USER, Flavor::Entra.accents())
            .expect("few names");
        let mask = user_mask(&projection, true).map(|mask| mask.paths.join(","));
        assert_eq!(mask.as_deref(), expected);
        assert_eq!(user_mask(&projection, false), None);
    }

    #[test]
    fn masks() {
        check(None, None, None);
        check(Some("groups"), None, None);
        check(None, Some("emails"), None);
        check(Some("id"), None, Some("id"));
        check(
            Some("userName,x509Certificates.value,manager,meta,urn:x:Y:2.0:User:a"),
            None,
            Some("id,meta,user_name,x509_certificates,enterprise,extensions"),
        );
        check(
            None,
            Some(
                "groups,addresses,ims,photos,entitlements,roles,x509Certificates,name,emails.type",
            ),
            Some(
                "id,external_id,user_name,display_name,nick_name,profile_url,title,user_type,\
                 preferred_language,locale,timezone,active,emails,phone_numbers,enterprise,extensions",
            ),
        );
    }

    #[test]
    fn counting_asks_for_no_resources() {
        let request = page_request(&Paging::Index(Page::new(Some(6), Some(0))));
        assert!(request.count_only && request.include_total_size);
        assert_eq!(request.skip, 5);
    }
}
