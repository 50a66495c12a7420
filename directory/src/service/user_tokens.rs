//! Signed tokens of users: issued for those who may act right now.

use std::time::Duration;

use super::{Directory, credentials::checked_grant};
use crate::{
    auth::Caller,
    domain::signing_key::TOKEN_LIFE_MS,
    error::{Error, Result},
    signing::token::{Claims, Confirmation},
    storage::subjects::{self, GroupsWanted, Subject, UserKey},
};

/// How long a token lives when nothing is said, in seconds.
const LIFE_S: i64 = 300;

/// Longest text of a claim that the caller gives, in bytes.
const TEXT_LIMIT: usize = 500;

/// A token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWanted {
    /// Whose.
    pub user: UserKey,
    /// For whom.
    pub audiences: Vec<String>,
    /// What it is good for there.
    pub scopes: Vec<String>,
    /// How long it lives, in seconds; `None` for the usual time.
    pub life_s: Option<i64>,
    /// Who will use it; empty: the caller.
    pub client_id: String,
    /// The session to which it belongs; may be empty.
    pub session_id: String,
    /// When the user proved himself, in seconds since the Unix epoch.
    pub auth_time: Option<i64>,
    /// How well; may be empty.
    pub acr: String,
    /// By what.
    pub amr: Vec<String>,
    /// Groups to name in it.
    pub groups: Option<GroupsWanted>,
    /// What its holder must prove to have.
    pub confirmation: Confirmation,
}

/// A token that was issued.
#[derive(Clone)]
pub struct UserToken {
    /// The bearer.
    pub token: String,
    /// Its id.
    pub jti: String,
    /// The key that signed it.
    pub kid: String,
    /// How long it lives.
    pub expires_in: Duration,
}

impl Directory {
    /// Issues a token for a user who may act right now.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::ScopeMissing`], [`Error::NotFound`],
    /// [`Error::UserInactive`], [`Error::TooManyGroups`].
    pub async fn issue_user_token(
        &self,
        caller: &Caller,
        wanted: TokenWanted,
    ) -> Result<UserToken> {
        let audiences = checked_grant(caller, &wanted.audiences, &wanted.scopes)?;
        check_texts(&wanted)?;
        let life_s = checked_life(wanted.life_s)?;
        if !matches!(wanted.user, UserKey::Id(_)) {
            caller.require("users.resolve")?;
        }
        if wanted.groups.is_some() {
            caller.require("groups.read")?;
        }
        // Before he is looked at: what ends his access from then on ends this.
        let asked_at = self.source.now_ms();
        let subject = self.subject(caller, &wanted.user).await?;
        let groups = match &wanted.groups {
            Some(wanted) => {
                let tx = self.store.single();
                Some(subjects::groups(&tx, &subject.id, wanted).await?)
            }
            None => None,
        };
        let iat = self
            .issue_time(asked_at, subject.access.first_second())
            .await;
        let jti = self.source.new_id();
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let claims = Claims {
            iss: self.issuer().await?,
            sub: subject.id,
            aud: audiences.into(),
            client_id: text(wanted.client_id).unwrap_or_else(|| caller.id().to_owned()),
            iat,
            exp: iat + life_s,
            nbf: None,
            jti: jti.clone(),
            tid: caller.tenant_id.clone(),
            scope: wanted.scopes.join(" "),
            sid: text(wanted.session_id),
            auth_time: wanted.auth_time,
            acr: text(wanted.acr),
            amr: wanted.amr,
            groups,
            cnf: Some(wanted.confirmation).filter(|cnf| *cnf != Confirmation::default()),
        };
        let (token, kid) = self.sign(&claims).await?;
        Ok(UserToken {
            token,
            jti,
            kid,
            expires_in: Duration::from_secs(u64::try_from(life_s).unwrap_or_default()),
        })
    }

    /// The user who is meant, if he may act.
    async fn subject(&self, caller: &Caller, user: &UserKey) -> Result<Subject> {
        let tx = self.store.single();
        let found = subjects::find(&tx, &caller.tenant_id, user, "").await?;
        let subject = found.ok_or_else(|| user.not_found())?;
        match subject.may_act {
            true => Ok(subject),
            false => Err(Error::UserInactive),
        }
    }

    /// The second in which a token is issued that was asked for at this time, of
    /// those from this one on. All of the one in which tokens died is dead, so that
    /// the next must be waited for.
    pub(super) async fn issue_time(&self, asked_at: i64, first: i64) -> i64 {
        let now = self.source.now_ms();
        let wait = first.saturating_mul(1_000).saturating_sub(now);
        if let Ok(wait @ 1..) = u64::try_from(wait) {
            // Clocks may differ, but not by much.
            tokio::time::sleep(Duration::from_millis(wait.min(1_000))).await;
        }
        asked_at.div_euclid(1_000).max(first)
    }
}

fn checked_life(life_s: Option<i64>) -> Result<i64> {
    let life = life_s.unwrap_or(LIFE_S);
    match (1..=TOKEN_LIFE_MS / 1_000).contains(&life) {
        true => Ok(life),
        false => Err(Error::invalid("lifetime", "must be 1 to 3,600 seconds")),
    }
}

fn check_texts(wanted: &TokenWanted) -> Result<()> {
    let texts = [
        ("client_id", &wanted.client_id),
        ("session_id", &wanted.session_id),
        ("acr", &wanted.acr),
    ];
    let amr = wanted.amr.iter().map(|text| ("amr", text));
    let confirmation = [&wanted.confirmation.jkt, &wanted.confirmation.x5t_s256];
    let confirmation = confirmation.into_iter().flatten().map(|text| ("cnf", text));
    let mut all = texts.into_iter().chain(amr).chain(confirmation);
    let broken = |text: &str| text.len() > TEXT_LIMIT || text.chars().any(char::is_control);
    if wanted.amr.len() > super::credentials::AUDIENCES {
        return Err(Error::invalid("amr", "must name at most 10"));
    }
    match all.find(|(_, text)| broken(text)) {
        Some((field, _)) => {
            let rule = "must have at most 500 bytes and no control characters";
            Err(Error::invalid(field, rule))
        }
        None => Ok(()),
    }
}
