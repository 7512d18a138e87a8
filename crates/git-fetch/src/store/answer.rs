//! Which server gets the credential.

use secrecy::ExposeSecret;

use crate::{Login, url::same_authority};

/// Gives the credential to the server that it belongs to. The transport also asks after a redirect to another
/// server, which gets none.
pub(super) fn answer(
    url: &str,
    login: Option<&Login>,
) -> impl FnMut(
    gix::credentials::helper::Action,
) -> gix::Result<Option<gix::credentials::protocol::Outcome>>
+ use<> {
    use gix::credentials::helper::Action;
    let known = login.filter(|known| !known.is_empty()).cloned();
    let url = url.to_owned();
    move |action| {
        let Action::Get(context) = action else {
            return Ok(None);
        };
        let asking = context.url.as_ref().map(ToString::to_string);
        let asking = asking.or_else(|| {
            let (protocol, host) = (context.protocol.as_ref()?, context.host.as_ref()?);
            Some(format!("{protocol}://{host}"))
        });
        let Some(login) = known
            .as_ref()
            .filter(|_| asking.is_some_and(|asking| same_authority(&url, &asking)))
        else {
            return Ok(None);
        };
        Ok(Some(gix::credentials::protocol::Outcome {
            identity: gix::sec::identity::Account {
                username: login.username.clone(),
                password: login.password.expose_secret().to_owned(),
                oauth_refresh_token: None,
            },
            next: context.into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use gix::credentials::helper::Action;

    use super::*;

    #[test]
    fn a_redirect_to_another_server_gets_no_credential() {
        let login = Login {
            username: "u".to_owned(),
            password: "secret".to_owned().into(),
            ..Login::default()
        };
        let mut answer = answer("https://git.example.com/a.git", Some(&login));
        let mut given = |url: &str| {
            answer(Action::get_for_url(url))
                .expect("an answer")
                .map(|outcome| outcome.identity.password)
        };
        assert_eq!(
            given("https://git.example.com/b").as_deref(),
            Some("secret")
        );
        assert_eq!(
            given("https://git.example.com:443/b").as_deref(),
            Some("secret")
        );
        for url in [
            "https://evil.org/a.git",
            "https://git.example.com.evil.org/a.git",
            "https://git.example.com:8443/a.git",
            "http://git.example.com/a.git",
        ] {
            assert_eq!(given(url), None, "{url}");
        }
    }
}
