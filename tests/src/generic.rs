//! Calls of any RPC of the contract, known by its descriptor alone: requests are
//! empty, answers are bytes.

use std::time::Duration;

use hyper::body::Bytes;
use muster_proto::{FILE_DESCRIPTOR_SET, policy::Policies, v1::MethodPolicy};
use prost_reflect::DescriptorPool;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{AsciiMetadataValue, KeyAndValueRef},
    transport::Channel,
};

/// How long the first message of an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// An RPC.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its gRPC path.
    pub path: String,
    /// What it demands.
    pub policy: MethodPolicy,
    /// Whether its answer is a stream.
    pub streams: bool,
}

/// All RPCs of the contract, in its order.
pub fn methods() -> Vec<Method> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiled contract");
    let policies = Policies::load().expect("a complete contract");
    let mut methods = Vec::new();
    for service in pool.services() {
        for method in service.methods() {
            assert!(!method.is_client_streaming(), "{}", method.full_name());
            let path = format!("/{}/{}", service.full_name(), method.name());
            let policy = policies.get(&path).expect("each has one").clone();
            let streams = method.is_server_streaming();
            methods.push(Method {
                path,
                policy,
                streams,
            });
        }
    }
    methods
}

/// Calls an RPC with an empty request and these values of `authorization`; gives
/// the first message of the answer, empty where none came soon.
///
/// # Errors
/// As the directory answers.
pub async fn call(
    channel: &Channel,
    method: &Method,
    authorization: &[AsciiMetadataValue],
) -> Result<Bytes, Status> {
    let mut request = Request::new(());
    for value in authorization {
        let metadata = request.metadata_mut();
        metadata.append("authorization", value.clone());
    }
    let path = method.path.parse().expect("a path");
    let mut client = Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|e| Status::unavailable(e.to_string()))?;
    // On the wire one answer is a stream of one.
    let answer = client.server_streaming(request, path, Raw).await?;
    let mut messages = answer.into_inner();
    match tokio::time::timeout(PATIENCE, messages.message()).await {
        Ok(first) => Ok(first?.unwrap_or_default()),
        Err(_) if method.streams => Ok(Bytes::new()),
        Err(_) => Err(Status::deadline_exceeded(format!("{} hangs", method.path))),
    }
}

/// All that a caller is told by a status, but for the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    code: i32,
    message: String,
    details: Vec<u8>,
    metadata: Vec<(String, Vec<u8>)>,
}

impl From<&Status> for Face {
    fn from(status: &Status) -> Self {
        let pairs = status.metadata().iter().map(|pair| match pair {
            KeyAndValueRef::Ascii(key, value) => (key.to_string(), value.as_bytes().to_vec()),
            KeyAndValueRef::Binary(key, value) => {
                (key.to_string(), value.as_encoded_bytes().to_vec())
            }
        });
        let mut metadata: Vec<_> = pairs.filter(|(key, _)| key != "date").collect();
        metadata.sort();
        Self {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: status.details().to_vec(),
            metadata,
        }
    }
}

/// Empty messages out, bytes in.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        use prost::bytes::Buf as _;
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
