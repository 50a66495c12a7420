//! Calls of any mutation of the contract by its descriptor, so that one that is
//! new is met by the same questions.

use std::sync::LazyLock;

use muster_proto::{FILE_DESCRIPTOR_SET, v1::Sensitivity};
use muster_tests::grpc::Grpc;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MethodDescriptor,
    ReflectMessage as _, Value,
};
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiled contract"));

static SENSITIVITY: LazyLock<ExtensionDescriptor> = LazyLock::new(|| {
    let option = POOL.get_extension_by_name("identity.directory.v1.sensitivity");
    option.expect("an option of the contract")
});

/// RPCs whose requests can have an id.
pub(super) fn mutations() -> Vec<MethodDescriptor> {
    let methods = POOL
        .services()
        .flat_map(|one| one.methods().collect::<Vec<_>>());
    methods.filter(takes_an_id).collect()
}

fn takes_an_id(method: &MethodDescriptor) -> bool {
    let options = method.input().get_field_by_name("options");
    let kind = options.map(|field| field.kind());
    let options = kind.as_ref().and_then(|kind| kind.as_message().cloned());
    options.is_some_and(|options| options.get_field_by_name("request_id").is_some())
}

/// The mutation of this name.
#[track_caller]
pub(super) fn mutation(name: &str) -> MethodDescriptor {
    let mut all = mutations().into_iter();
    let found = all.find(|method| method.name() == name);
    found.unwrap_or_else(|| panic!("the contract has no mutation {name}"))
}

/// A request, as it is written, under this id.
#[track_caller]
pub(super) fn identified(method: &MethodDescriptor, request: &[u8], id: &str) -> DynamicMessage {
    let mut request = DynamicMessage::decode(method.input(), request).expect("of this method");
    let options = request.get_field_by_name_mut("options");
    let options = options.and_then(Value::as_message_mut);
    let options = options.expect("every mutation has them");
    options.set_field_by_name("request_id", Value::String(id.to_owned()));
    request
}

/// Calls a mutation.
///
/// # Errors
/// As the directory answers.
pub(super) async fn call(
    grpc: &Grpc,
    method: &MethodDescriptor,
    request: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let service = method.parent_service().full_name();
    let path = format!("/{service}/{}", method.name());
    let path = path.parse().expect("a path");
    let mut raw = grpc.raw();
    let ready = raw.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = Reflected(method.clone());
    let answer = raw.unary(Request::new(request), path, codec).await;
    answer.map(tonic::Response::into_inner)
}

/// Takes the secrets out of an answer.
pub(super) fn take_secrets(answer: &mut DynamicMessage) -> Vec<String> {
    let fields = secret_fields(&answer.descriptor());
    let told = fields.iter().filter_map(|field| {
        let value = answer.get_field(field).as_str()?.to_owned();
        answer.clear_field(field);
        Some(value).filter(|value| !value.is_empty())
    });
    told.collect()
}

/// An answer in words, for whoever reads why a test failed.
pub(super) fn words(message: &DynamicMessage) -> String {
    let words = message.fields().map(|(field, value)| match value {
        Value::Message(inner) => format!("{}: {}", field.name(), words(inner)),
        other => format!("{}: {other:?}", field.name()),
    });
    format!("{{{}}}", words.collect::<Vec<_>>().join(", "))
}

/// Whether answers of a mutation have a secret.
pub(super) fn tells_secrets(method: &MethodDescriptor) -> bool {
    !secret_fields(&method.output()).is_empty()
}

fn secret_fields(message: &prost_reflect::MessageDescriptor) -> Vec<FieldDescriptor> {
    let is_secret = |field: &FieldDescriptor| {
        let value = field.options().get_extension(&SENSITIVITY).into_owned();
        value.as_enum_number() == Some(Sensitivity::Secret.into())
    };
    message.fields().filter(is_secret).collect()
}

/// Messages of a method.
#[derive(Debug, Clone)]
struct Reflected(MethodDescriptor);

impl Codec for Reflected {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Reflected {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let encoded = item.encode(to);
        encoded.map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Reflected {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let decoded = DynamicMessage::decode(self.0.output(), from);
        let decoded = decoded.map_err(|error| Status::internal(error.to_string()));
        decoded.map(Some)
    }
}
