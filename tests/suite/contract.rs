//! The contract, for those who are to call it: by reflection, and as files.

use futures_util::stream;
use muster_tests::{cli, grpc::Grpc, runtime::wait, server::Server};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

/// The services that a server tells of.
fn services(server: &Server) -> Result<Vec<String>, Status> {
    let mut client = ServerReflectionClient::new(Grpc::new(server.grpc(), None).channel());
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answer = wait(async {
        let mut answers = client
            .server_reflection_info(stream::iter([request]))
            .await?
            .into_inner();
        Ok::<_, Status>(answers.message().await?.expect("an answer"))
    })?;
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reflection_is_there_when_it_is_asked_for() {
    let silent = services(super::server()).expect_err("it is off");
    assert_eq!(silent.code(), Code::Unimplemented, "{silent:?}");
    let told = services(&super::launch().arg("--grpc-reflection").start()).expect("it is on");
    let name = "identity.directory.v1.DirectoryLookupService";
    assert!(told.iter().any(|told| told == name), "{told:?}");
}

#[test]
fn the_contract_comes_as_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = muster_tests::binary::muster();
    let path = |name: &str| {
        let path = folder.path().join(name);
        path.to_str().expect("a plain path").to_owned()
    };
    let descriptor = path("contract.binpb");
    let write = ["contract", "descriptor", "--output", &descriptor];
    let _ = cli::run(binary, &write).code(0);
    let bytes = std::fs::read(&descriptor).expect("it was written");
    let pool = DescriptorPool::decode(bytes.as_slice()).expect("a descriptor");
    assert!(
        pool.get_service_by_name("identity.directory.v1.UserService")
            .is_some()
    );
    let option = pool.get_extension_by_name("identity.directory.v1.policy");
    assert!(option.is_some(), "options are in it");
    let protos = path("protos/new");
    let _ = cli::run(binary, &["contract", "protos", "--output", &protos]).code(0);
    for (name, text) in muster_proto::SOURCES {
        let written = std::fs::read_to_string(format!("{protos}/{name}"));
        assert_eq!(written.expect("it was written"), *text, "{name}");
    }
    let nowhere = ["contract", "descriptor", "--output", "/dev/null/x"];
    let refused = cli::run(binary, &nowhere);
    let _ = refused.code(1);
}
