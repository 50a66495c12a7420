//! `DirectoryLookupService`: decode, call the service, encode.

use muster_proto::v1::{
    self, directory_lookup_service_server::DirectoryLookupService, membership_result::Verdict,
};
use prost::Message as _;
use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use super::{
    caller, decode, encode, keys,
    mask::Mask,
    personal,
    status::{item, status},
    token_words::{groups, user_key},
    wanted,
};
use crate::{
    auth::Caller,
    domain::history::Position,
    error::{Error, Result},
    service::{
        Directory, GROUP_LIMIT, KEY_LIMIT, Membership, MembershipQuestion, Reach, View, Wants,
        wanted_groups,
    },
    storage::{
        lookup::{GroupKey, Tie},
        relations::{GroupRef, Relations},
        subjects::{GroupsWanted, UserKey},
    },
};

/// Bytes of users in an answer: clients take 4 MiB unless told otherwise.
const ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// Most groups of one user in an answer.
const GROUPS: usize = 5_000;

/// What is told of a user when nothing is named.
const USUAL: [&str; 8] = [
    "id",
    "user_name",
    "display_name",
    "active",
    "effective_active",
    "inactive_reason",
    "tokens_valid_after",
    "meta",
];

pub(super) struct Lookup(pub(super) Directory);

/// Answers a call.
macro_rules! answer {
    ($self:ident, $request:ident, $method:ident) => {{
        let caller = caller(&$request)?;
        let answer = $self.$method(&caller, $request.into_inner()).await;
        answer.map(Response::new).map_err(status)
    }};
}

#[tonic::async_trait]
impl DirectoryLookupService for Lookup {
    async fn resolve_user(
        &self,
        request: Request<v1::ResolveUserRequest>,
    ) -> Result<Response<v1::ResolveUserResponse>, Status> {
        answer!(self, request, resolve)
    }

    async fn batch_get_users(
        &self,
        request: Request<v1::BatchGetUsersRequest>,
    ) -> Result<Response<v1::BatchGetUsersResponse>, Status> {
        answer!(self, request, users)
    }

    async fn batch_get_user_status(
        &self,
        request: Request<v1::BatchGetUserStatusRequest>,
    ) -> Result<Response<v1::BatchGetUserStatusResponse>, Status> {
        answer!(self, request, statuses)
    }

    async fn get_effective_groups(
        &self,
        request: Request<v1::GetEffectiveGroupsRequest>,
    ) -> Result<Response<v1::GetEffectiveGroupsResponse>, Status> {
        answer!(self, request, effective_groups)
    }

    async fn check_membership(
        &self,
        request: Request<v1::CheckMembershipRequest>,
    ) -> Result<Response<v1::CheckMembershipResponse>, Status> {
        answer!(self, request, membership)
    }

    async fn batch_check_membership(
        &self,
        request: Request<v1::BatchCheckMembershipRequest>,
    ) -> Result<Response<v1::BatchCheckMembershipResponse>, Status> {
        answer!(self, request, memberships)
    }
}

impl Lookup {
    async fn resolve(
        &self,
        caller: &Caller,
        request: v1::ResolveUserRequest,
    ) -> Result<v1::ResolveUserResponse> {
        let key = user_key(request.key)?;
        let mask = mask(caller, request.read_mask)?;
        let wanted = groups(request.groups, GROUPS)?;
        if wanted.is_some() {
            caller.require("groups.read")?;
        }
        let wants = mask.wants();
        let wants = Wants {
            groups: wants.groups || wanted.is_some(),
            ..wants
        };
        let reach = match request.allow_inactive {
            true => Reach::Deleted,
            false => Reach::Live,
        };
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let found = self
            .0
            .resolve_user(caller, &key, reach, wants, &consistency);
        let kept = found.await?;
        let (user, relations) = &*kept.found;
        let standing = user.standing();
        if !standing.may_act() && !request.allow_inactive {
            return Err(Error::UserInactive);
        }
        let told = match &wanted {
            Some(wanted) => wanted_groups(&relations.groups, wanted)?,
            None => Vec::new(),
        };
        let view = View {
            resource: user.clone(),
            relations: shown(relations, &mask),
        };
        let mut user = encode::user(&self.0, caller, view, &mask)?;
        let wanted = keys::asked(caller, &mask);
        keys::add(&self.0, caller, wanted, vec![&mut user]).await?;
        Ok(v1::ResolveUserResponse {
            user: Some(user),
            access: Some(encode::access(caller, Some(standing))),
            groups: told.into_iter().map(encode::group_ref).collect(),
            read_at: self.read_at(caller, &kept.at),
        })
    }

    async fn users(
        &self,
        caller: &Caller,
        request: v1::BatchGetUsersRequest,
    ) -> Result<v1::BatchGetUsersResponse> {
        use v1::user_result::Result as Told;
        let mask = mask(caller, request.read_mask)?;
        let keys = user_keys(request.keys)?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let known: Vec<_> = keys.iter().flatten().cloned().collect();
        let mut room = ANSWER_BYTES;
        let take = |view| {
            let user = encode::user(&self.0, caller, view, &mask)?;
            let left = room.checked_sub(user.encoded_len());
            room = left.ok_or(Error::AnswerFull)?;
            Ok(user)
        };
        let wants = mask.wants();
        let found = self
            .0
            .resolve_users(caller, &known, wants, &consistency, take);
        let found = found.await?;
        let mut users = found.value.into_iter();
        let result = |key: Result<UserKey>| {
            let user = key.and_then(|_| next(&mut users));
            let result = match user {
                Ok(user) => Told::User(user),
                Err(error) => Told::Error(item(error)),
            };
            v1::UserResult {
                result: Some(result),
            }
        };
        let mut results: Vec<_> = keys.into_iter().map(result).collect();
        let users = results.iter_mut().filter_map(|one| match &mut one.result {
            Some(Told::User(user)) => Some(user),
            Some(Told::Error(_)) | None => None,
        });
        let users = users.collect();
        keys::add(&self.0, caller, keys::asked(caller, &mask), users).await?;
        Ok(v1::BatchGetUsersResponse {
            results,
            read_at: self.read_at(caller, &found.at),
        })
    }

    async fn statuses(
        &self,
        caller: &Caller,
        request: v1::BatchGetUserStatusRequest,
    ) -> Result<v1::BatchGetUserStatusResponse> {
        let keys = user_keys(request.keys)?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let known: Vec<_> = keys.iter().flatten().cloned().collect();
        let found = self.0.user_standings(caller, &known, &consistency).await?;
        let mut standings = found.value.into_iter();
        let result = |key: Result<UserKey>| match key.and_then(|_| next(&mut standings)) {
            Ok((user_id, standing)) => v1::UserStatusResult {
                user_id,
                status: Some(encode::access(caller, Some(standing))),
                error: None,
            },
            Err(error) => v1::UserStatusResult {
                user_id: String::new(),
                status: Some(encode::access(caller, None)),
                error: Some(item(error)),
            },
        };
        Ok(v1::BatchGetUserStatusResponse {
            results: keys.into_iter().map(result).collect(),
            read_at: self.read_at(caller, &found.at),
        })
    }

    async fn effective_groups(
        &self,
        caller: &Caller,
        request: v1::GetEffectiveGroupsRequest,
    ) -> Result<v1::GetEffectiveGroupsResponse> {
        use v1::group_expansion::Mode;
        let user = user_key(request.user)?;
        let mut expansion = request.groups.unwrap_or_default();
        let is_none = expansion.mode() == Mode::None;
        if expansion.mode() == Mode::Unspecified {
            expansion.set_mode(Mode::Transitive);
        }
        // None are wanted, but the user is to be found all the same.
        let none = GroupsWanted {
            only: vec![String::new()],
            ..GroupsWanted::default()
        };
        let wanted = groups(Some(expansion), GROUPS)?.filter(|_| !is_none);
        let wanted = wanted.unwrap_or(none);
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let found = self
            .0
            .effective_groups(caller, &user, &wanted, &consistency);
        let found = found.await?;
        let (standing, groups) = found.value;
        Ok(v1::GetEffectiveGroupsResponse {
            groups: groups.into_iter().map(encode::group_ref).collect(),
            access: Some(encode::access(caller, Some(standing))),
            read_at: self.read_at(caller, &found.at),
        })
    }

    async fn membership(
        &self,
        caller: &Caller,
        request: v1::CheckMembershipRequest,
    ) -> Result<v1::CheckMembershipResponse> {
        decode::check_count("groups", request.groups.len(), GROUP_LIMIT)?;
        if request.groups.is_empty() {
            return Err(Error::Required("groups"));
        }
        if request.explain {
            caller.require("groups.read")?;
        }
        let groups = request.groups.into_iter();
        let groups = groups.map(|key| group_key(caller, Some(key)));
        let question = MembershipQuestion {
            user: user_key(request.user)?,
            groups: groups.collect::<Result<_>>()?,
            direct_only: request.direct_only,
            explain: request.explain,
        };
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let found = self.0.check_membership(caller, &question, &consistency);
        let found = found.await?;
        let results = found.value.results.into_iter();
        let result = |said| membership(said, request.include_inactive);
        Ok(v1::CheckMembershipResponse {
            results: results.map(result).collect(),
            access: Some(encode::access(caller, Some(found.value.standing))),
            read_at: self.read_at(caller, &found.at),
        })
    }

    async fn memberships(
        &self,
        caller: &Caller,
        request: v1::BatchCheckMembershipRequest,
    ) -> Result<v1::BatchCheckMembershipResponse> {
        decode::check_count("questions", request.questions.len(), KEY_LIMIT)?;
        let pair = |question: v1::MembershipQuestion| {
            let group = group_key(caller, question.group)?;
            Ok((user_key(question.user).ok(), group))
        };
        let pairs = request.questions.into_iter().map(pair);
        let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let found = self.0.check_memberships(caller, &pairs, &consistency);
        let found = found.await?;
        let results = found.value.into_iter();
        let result = |said| membership(said, request.include_inactive);
        Ok(v1::BatchCheckMembershipResponse {
            results: results.map(result).collect(),
            read_at: self.read_at(caller, &found.at),
        })
    }

    fn read_at(&self, caller: &Caller, at: &Position) -> Option<v1::Revision> {
        Some(encode::revision(&self.0, caller, at))
    }
}

/// The next answer to a key that was asked with.
fn next<T>(answers: &mut impl Iterator<Item = Result<T>>) -> Result<T> {
    let answer = answers.next();
    answer.unwrap_or_else(|| Err(Error::internal("a key was not answered")))
}

/// What is to be told of users.
fn mask(caller: &Caller, mask: Option<FieldMask>) -> Result<Mask> {
    let is_named = mask.as_ref().is_some_and(|mask| !mask.paths.is_empty());
    let mask = match is_named {
        true => personal::mask(caller, mask)?,
        false => Mask::only(&USUAL),
    };
    if mask.has("groups") {
        caller.require("groups.read")?;
    }
    Ok(mask)
}

/// Of what a user says about others, that which is wanted in him.
fn shown(relations: &Relations, mask: &Mask) -> Relations {
    let groups: Vec<GroupRef> = match mask.has("groups") {
        true => relations.groups.clone(),
        false => Vec::new(),
    };
    Relations {
        groups,
        ..relations.clone()
    }
}

/// Keys of users, each by itself.
fn user_keys(keys: Vec<v1::UserKey>) -> Result<Vec<Result<UserKey>>> {
    decode::check_count("keys", keys.len(), KEY_LIMIT)?;
    let key = |key| user_key(Some(key));
    Ok(keys.into_iter().map(key).collect())
}

/// How a group is named; `None`: not at all.
fn group_key(caller: &Caller, key: Option<v1::GroupKey>) -> Result<Option<GroupKey>> {
    use v1::group_key::Key;
    let key = match key.and_then(|key| key.key) {
        None => return Ok(None),
        Some(Key::Id(id)) => return Ok(Some(GroupKey::Id(id))),
        Some(Key::External(key)) => GroupKey::External {
            connection_id: key.connection_id,
            external_id: key.external_id,
        },
        Some(Key::DisplayName(name)) => GroupKey::DisplayName(name),
    };
    caller.require("groups.read")?;
    Ok(Some(key))
}

fn membership(said: Result<Membership>, include_inactive: bool) -> v1::MembershipResult {
    let said = match said {
        Ok(said) => said,
        Err(error) => {
            return v1::MembershipResult {
                error: Some(item(error)),
                ..v1::MembershipResult::default()
            };
        }
    };
    let verdict = match said.tie {
        Tie::None => Verdict::NotMember,
        _ if !said.may_act && !include_inactive => Verdict::UserInactive,
        Tie::Direct => Verdict::DirectMember,
        Tie::Indirect => Verdict::TransitiveMember,
    };
    v1::MembershipResult {
        verdict: verdict.into(),
        group_id: said.group_id,
        path_group_ids: said.path,
        error: None,
    }
}
