//! Pages and projections as the directory's messages.

use muster_proto::v1;
use prost_types::FieldMask;

use crate::scim::{list::Page, projection::Projection};

/// A page by index, with the total.
pub fn page_request(page: Page) -> v1::PageRequest {
    v1::PageRequest {
        page_size: page.count,
        page_token: String::new(),
        skip: page.start_index - 1,
        include_total_size: true,
        count_only: page.count == 0,
    }
}

/// The fields of a user that the client wants. `None`, all of them, unless
/// that spares the directory the search for the user's groups.
pub fn user_mask(projection: &Projection) -> Option<FieldMask> {
    if projection.wants("", "groups") {
        return None;
    }
    // Never empty: an empty mask means all fields.
    let mut paths = vec!["id".to_owned()];
    for (schema, attribute) in projection.wanted()? {
        let path = match schema {
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
        let mask = user_mask(&projection).map(|mask| mask.paths.join(","));
        assert_eq!(mask.as_deref(), expected);
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
        let request = page_request(Page::new(Some(6), Some(0)));
        assert!(request.count_only && request.include_total_size);
        assert_eq!(request.skip, 5);
    }
}
