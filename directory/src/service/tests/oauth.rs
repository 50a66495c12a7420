//! Access tokens, and that no kind of credential passes for another.

use super::*;
use crate::domain::credential::Federation;

async fn create(world: &World, wanted: Wanted, expiry: Expiry) -> IssuedCredential {
    issue(world, wanted, expiry).await.unwrap()
}

fn federation() -> Wanted {
    Wanted::Federated(Federation {
        // Nobody listens there.
        issuer: "http://127.0.0.1:1/".to_owned(),
        subject: "principal".to_owned(),
        audience: "api://app".to_owned(),
    })
}

/// The access token for this id and secret, if there is one.
async fn trade(world: &World, id: &str, secret: &str) -> Option<AccessToken> {
    let proof = ClientProof::Secret(secret);
    match world.directory.issue_token(id, proof).await {
        Ok(token) => Some(token),
        Err(Error::CredentialInvalid) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn is_let_in(world: &World, bearer: &str) -> bool {
    match let_in(&world.directory, bearer, None).await {
        Ok(_) => true,
        Err(Error::CredentialInvalid) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_secret_buys_access_until_it_is_revoked() {
    let world = World::new().await;
    let issued = create(&world, Wanted::OauthClient, Expiry::Never).await;
    let id = &issued.credential.id;
    let token = trade(&world, id, exposed(&issued)).await.unwrap();
    assert_eq!(token.expires_in.as_secs(), 3600);
    let directory = &world.directory;
    let own = Some(issued.credential.owner());
    let caller = let_in(directory, &token.token, own).await.unwrap();
    assert_eq!(
        (caller.id(), &caller.scopes),
        (id.as_str(), &Scopes::Provisioning)
    );
    let elsewhere = let_in(directory, &token.token, Some("other")).await;
    assert!(elsewhere.is_err());
    let revoked = directory.revoke_token(&operator(&caller), id, "").await;
    revoked.unwrap();
    assert!(!is_let_in(&world, &token.token).await);
    assert!(trade(&world, id, exposed(&issued)).await.is_none());
}

#[tokio::test]
async fn an_access_token_ends_with_its_credential() {
    let world = World::new().await;
    let now = world.directory.source.now_ms();
    let short = create(&world, Wanted::OauthClient, Expiry::At(now + 60_000)).await;
    let token = trade(&world, &short.credential.id, exposed(&short)).await;
    assert!((59..=60).contains(&token.unwrap().expires_in.as_secs()));

    // The credential's own end counts, whatever the token says.
    let soon = world.directory.source.now_ms() + 1_500;
    let ending = create(&world, Wanted::OauthClient, Expiry::At(soon)).await;
    let (id, secret) = (&ending.credential.id, exposed(&ending));
    let token = trade(&world, id, secret).await.unwrap().token;
    assert!(is_let_in(&world, &token).await);
    while world.directory.source.now_ms() < soon {}
    assert!(!is_let_in(&world, &token).await);
    assert!(trade(&world, id, secret).await.is_none());
}

#[tokio::test]
async fn no_kind_of_credential_passes_for_another() {
    let world = World::new().await;
    let bearer = create(&world, Wanted::Bearer, Expiry::Never).await;
    let client = create(&world, Wanted::OauthClient, Expiry::Never).await;
    let federated = create(&world, federation(), Expiry::Never).await;
    assert!(federated.secret.is_none());
    let ids = [&bearer, &client, &federated].map(|issued| issued.credential.id.clone());
    let access = trade(&world, &ids[1], exposed(&client)).await.unwrap();

    assert!(is_let_in(&world, exposed(&bearer)).await);
    assert!(is_let_in(&world, &access.token).await);
    assert!(!is_let_in(&world, exposed(&client)).await);
    for id in &ids {
        for secret in [exposed(&bearer), &access.token, ""] {
            assert!(trade(&world, id, secret).await.is_none());
        }
    }
    for id in [&ids[0], &ids[2], "nobody", ""] {
        assert!(trade(&world, id, exposed(&client)).await.is_none());
    }
    for id in [&ids[0], &ids[1], "nobody"] {
        let proof = ClientProof::Assertion("a.b.c");
        let answer = world.directory.issue_token(id, proof).await;
        assert!(matches!(answer, Err(Error::CredentialInvalid)));
    }
}

#[tokio::test]
async fn a_federated_client_is_refused_or_told_to_come_back() {
    let world = World::new().await;
    let issued = create(&world, federation(), Expiry::Never).await;
    let ask = async |assertion: &str| {
        let proof = ClientProof::Assertion(assertion);
        world
            .directory
            .issue_token(&issued.credential.id, proof)
            .await
    };
    assert!(matches!(
        ask("nonsense").await,
        Err(Error::CredentialInvalid)
    ));
    // {"alg":"RS256","kid":"k1"}: the keys could tell.
    let assertion = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.e30.AAAA";
    assert!(matches!(
        ask(assertion).await,
        Err(Error::IssuerUnavailable(_))
    ));
}

#[tokio::test]
async fn a_federation_is_checked_and_kept() {
    let world = World::new().await;
    let issued = create(&world, federation(), Expiry::Never).await;
    let (tenant_id, id) = (&issued.credential.tenant_id, &issued.credential.id);
    let kept = world.directory.get_token(tenant_id, id).await.unwrap();
    assert_eq!((kept.credential, kept.key_id), (issued.credential, None));
    let broken = Wanted::Federated(Federation {
        issuer: "http://login.example.test".to_owned(),
        subject: String::new(),
        audience: "a b".to_owned(),
    });
    match issue(&world, broken, Expiry::Never).await {
        Err(Error::Invalid(violations)) => assert_eq!(violations.len(), 3),
        other => panic!("{other:?}"),
    }
}
