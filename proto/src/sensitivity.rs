//! Which fields are personal data, read from the compiled descriptor.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::{FILE_DESCRIPTOR_SET, v1::Sensitivity};

/// Names of the fields that carry no sensitivity, by the name of their message.
static PLAIN: LazyLock<HashMap<String, HashSet<String>>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let messages = pool.all_messages();
    let plain = messages.map(|message| (message.name().to_owned(), plain(&pool, &message)));
    plain.collect()
});

/// The field of a message of `identity.directory.v1` holds no personal data and
/// no secret. Of what the contract does not have, that cannot be said.
pub fn is_plain(message: &str, field: &str) -> bool {
    let fields = PLAIN.get(message);
    fields.is_some_and(|fields| fields.contains(field))
}

fn plain(pool: &DescriptorPool, message: &MessageDescriptor) -> HashSet<String> {
    let Some(option) = pool.get_extension_by_name("identity.directory.v1.sensitivity") else {
        return HashSet::new();
    };
    let fields = message.fields().filter(|field| {
        let value = field.options().get_extension(&option).into_owned();
        value.as_enum_number() == Some(Sensitivity::Unspecified.into())
    });
    fields.map(|field| field.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_by_their_option() {
        for plain in ["id", "title", "roles", "meta"] {
            assert!(is_plain("User", plain), "{plain}");
        }
        for personal in ["emails", "extensions", "x509_certificates", "nonsense"] {
            assert!(!is_plain("User", personal), "{personal}");
        }
        assert!(is_plain("EnterpriseUser", "department"));
        assert!(!is_plain("EnterpriseUser", "employee_number"));
        assert!(!is_plain("Nobody", "id"));
    }
}
