//! RFC 7643 sections 4.1 and 4.3.

use super::{Attribute, Kind, Reach, Schema, attribute::EXTERNAL_ID};

const DISPLAY: Attribute = Attribute::string("display", "Human-readable name of the value.");
const PRIMARY: Attribute = Attribute::boolean("primary", "Whether this value is preferred.");
const TYPE: Attribute = Attribute::string("type", "Label for the use of the value.");

/// Without `password`: muster verifies no passwords, so none is stored; a
/// client that sends one finds it ignored, and `/Schemas` does not offer it.
pub(super) static CORE: Schema = Schema {
    urn: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "User Account",
    attributes: &[
        EXTERNAL_ID,
        Attribute::string(
            "userName",
            "Name the user signs in with; unique without case.",
        )
        .required()
        .unique()
        .reach(Reach::Column),
        Attribute::complex("name", "The components of the user's name.", NAME),
        Attribute::string("displayName", "Name shown to others.").reach(Reach::Column),
        Attribute::string("nickName", "Casual name."),
        Attribute::reference("profileUrl", "Page about the user.", &["external"]),
        Attribute::string("title", "Job title."),
        Attribute::string("userType", "Relationship to the organization."),
        Attribute::string(
            "preferredLanguage",
            "Preferred language, as in Accept-Language.",
        ),
        Attribute::string("locale", "Locale for numbers and dates."),
        Attribute::string("timezone", "Time zone, as in the IANA database."),
        Attribute::boolean("active", "Whether the user may use the service."),
        Attribute::complex("emails", "E-mail addresses.", EMAILS).many(),
        Attribute::complex("phoneNumbers", "Phone numbers, kept as sent.", PHONES).many(),
        Attribute::complex("ims", "Instant messaging addresses.", IMS).many(),
        Attribute::complex("photos", "URLs of photos.", PHOTOS).many(),
        Attribute::complex("addresses", "Postal addresses.", ADDRESSES).many(),
        Attribute::complex("groups", "Groups the user is in.", GROUPS)
            .many()
            .read_only()
            .reach(Reach::Relation),
        Attribute::complex("entitlements", "Things the user has.", LABELED).many(),
        // Without canonical types: Microsoft Entra then offers
        // roles[primary eq "True"] as a target (see docs/entra.md).
        Attribute::complex("roles", "Roles of the user.", LABELED).many(),
        Attribute::complex(
            "x509Certificates",
            "Certificates of the user.",
            CERTIFICATES,
        )
        .many(),
    ],
};

const NAME: &[Attribute] = &[
    Attribute::string("formatted", "The full name, for display."),
    Attribute::string("familyName", "Family name, or last name."),
    Attribute::string("givenName", "Given name, or first name."),
    Attribute::string("middleName", "Middle names."),
    Attribute::string("honorificPrefix", "Title before the name."),
    Attribute::string("honorificSuffix", "Suffix behind the name."),
];

const EMAILS: &[Attribute] = &[
    Attribute::string("value", "E-mail address.").reach(Reach::Indexed),
    DISPLAY,
    TYPE.canonical(&["work", "home", "other"]),
    PRIMARY,
];

const PHONES: &[Attribute] = &[
    Attribute::string("value", "Phone number."),
    DISPLAY,
    TYPE.canonical(&["work", "home", "mobile", "fax", "pager", "other"]),
    PRIMARY,
];

const IMS: &[Attribute] = &[
    Attribute::string("value", "Instant messaging address."),
    DISPLAY,
    TYPE.canonical(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
    PRIMARY,
];

const PHOTOS: &[Attribute] = &[
    Attribute::reference("value", "URL of the photo.", &["external"]),
    DISPLAY,
    TYPE.canonical(&["photo", "thumbnail"]),
    PRIMARY,
];

const ADDRESSES: &[Attribute] = &[
    Attribute::string("formatted", "The full address, for display."),
    Attribute::string("streetAddress", "Street and number."),
    Attribute::string("locality", "City."),
    Attribute::string("region", "State or region."),
    Attribute::string("postalCode", "Postal code."),
    Attribute::string("country", "Country."),
    TYPE.canonical(&["work", "home", "other"]),
    PRIMARY,
];

const GROUPS: &[Attribute] = &[
    Attribute::string("value", "Id of the group.")
        .case_exact()
        .read_only()
        .reach(Reach::Relation),
    Attribute::reference("$ref", "URI of the group.", &["Group"])
        .read_only()
        .reach(Reach::Relation),
    Attribute::string("display", "Name of the group.")
        .read_only()
        .reach(Reach::Relation),
    Attribute::string(
        "type",
        "\"direct\", or \"indirect\": through other groups only.",
    )
    .canonical(&["direct", "indirect"])
    .read_only()
    .reach(Reach::Relation),
];

const LABELED: &[Attribute] = &[
    Attribute::string("value", "The value."),
    DISPLAY,
    TYPE,
    PRIMARY,
];

const CERTIFICATES: &[Attribute] = &[
    Attribute::new("value", Kind::Binary, "DER certificate, base64."),
    DISPLAY,
    TYPE,
    PRIMARY,
];

pub(super) static ENTERPRISE: Schema = Schema {
    urn: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "Enterprise User",
    attributes: &[
        Attribute::string("employeeNumber", "Number given by the organization.")
            .reach(Reach::Indexed),
        Attribute::string("costCenter", "Cost center."),
        Attribute::string("organization", "Organization."),
        Attribute::string("division", "Division."),
        Attribute::string("department", "Department."),
        Attribute::complex("manager", "The user's manager.", MANAGER),
    ],
};

const MANAGER: &[Attribute] = &[
    // Not checked for existence: clients send managers before they exist.
    Attribute::string("value", "Id of the manager.")
        .case_exact()
        .reach(Reach::Indexed),
    // Made of the id; a client may repeat it, or write it in place of the id.
    Attribute::reference("$ref", "URI of the manager.", &["User"]).reach(Reach::Relation),
    Attribute::string("displayName", "Display name of the manager.").read_only(),
];
