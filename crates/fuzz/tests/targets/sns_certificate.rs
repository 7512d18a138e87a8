//! Certificates of SNS, and messages that are signed with them.

use events::source::hook::sns_signature::{Message, certificate_url};
use fuzz::Material;
use serde_json::{Value, json};

/// A certificate that was made for this test.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIDCTCCAfGgAwIBAgIUQn971MHvbSTzQUtNAixV+3W2OpAwDQYJKoZIhvcNAQEL\n\
BQAwEzERMA8GA1UEAwwIc25zLnRlc3QwIBcNMjYxMTI5MTI1NDA0WhgPMjEyNjEx\n\
MDUxMjU0MDRaMBMxETAPBgNVBAMMCHNucy50ZXN0MIIBIjANBgkqhkiG9w0BAQEF\n\
AAOCAQ8AMIIBCgKCAQEA13WUwnwhKFoMZjDfCHXqRazFWdM3ocG9rl7mlRHX2LCb\n\
zvm/z+3oFiYiLJJYJZM7S2+H2GAuc/yQpBOhLZAzb4nc9eH2TaE3ZINLLrNBr0jx\n\
Kw8oVukRWq2MOVEVFuX6tIesSucXzFEhHI63r6SdFoJ9oLEeyHVS2J4F80eoJYD/\n\
1TIhAkhoxY4DPs7rSrrojf5DBX6a/k2npGLjVXqi/Gu/zOMygbpg1+7YaX6p8P8d\n\
l6cZR6Q0LN5bWIK0d9AfKlAvHKwYn7P8CYxh6dcn1xce+IfFjZqhUsqFcOmn5mCu\n\
0jN2aAsHRxT+7ebTix9FEVyQtMzGsH06DyY+2GXp0QIDAQABo1MwUTAdBgNVHQ4E\n\
FgQUJZVexcp/WjMcIRd1iEvw0LMyjTcwHwYDVR0jBBgwFoAUJZVexcp/WjMcIRd1\n\
iEvw0LMyjTcwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAnzKR\n\
dyHa6su02IK5enEOwaOSSXt27aRlg0x+0DbN8kEm58xVuPfISKGophsA7MLGTZZX\n\
IrxC/Xba/GZSJYdE8jDIbTtcS5DgxIohZ6PZ3JP+4GWI2gBxivv2f+2gFtm0ykkV\n\
aYQ4dMgzjBIPl8kU6YNO6hRMg4FzBz4mkNG6xaNKtF6Gac/BR28lfN1vxg6M1ZKj\n\
wgyCd8XzuOenBlN8i+UC+LnEEbEQhrftxd4akdBnNHiOHsTN6mQG5LpkmSVzS+/z\n\
rcKe2zz4tl/KKxtq6IFh8/AALUp/HE9w+dQyOUg7xJILyWMfYheAZPjBZSBhZimi\n\
qnRsYtczgLgu5Y6EDw==\n\
-----END CERTIFICATE-----\n\
";
/// The signature, `SignatureVersion` 2, that its owner made for [`message`].
const SIGNATURE: &str = "\
kcsKfA07NB28k4grxwGlRt8h3CSVb7LHSMK1y9Rn2Nw8W1VUJqLKPXAMCXt50ysea2ZKyIhRv3e91mLGOj4hEZ19WqsdCEgrdfMl\
GHnZp/ONWQMoTpb96TCsfrsJtsXBZ0pCwRinrN/v4MoCl0LiPhL59dAAJKwgPKqkskOHUrZJ7A+KMGMSG4PTev01gk8DAIvTfNrk\
MaLbJ7LR2JSFN4xOZU2syAymek47mtphV3EVR1KeP53hbjsWDs8L9XVo8ybGWJST+ggOsVOYZI1ZnUicSp0G2+lgWNvSUTdQe1ci\
hhIiDM0RmhUGfVTI7cB+7RXWEGEP2qSSwQUKwMmVvA==\
";

const MATERIAL: Material = Material {
    examples: &[
        CERTIFICATE,
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
    ],
    tokens: &[
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "MIIB",
        "MAA=",
        "////",
        "=",
        "\n",
        "sns.",
        ".amazonaws.com",
        ".cn",
        ".pem",
        "https://",
        "@",
        "/",
        "?",
        "#",
        "%2e",
        "\u{e9}",
    ],
};

fn message(text: &str, signature: &str) -> Message {
    let value: Value = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": text,
        "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": "2", "Signature": signature,
    });
    serde_json::from_value(value).expect("a message")
}

#[test]
fn sns_certificate() {
    let genuine = message("hi", SIGNATURE);
    assert!(genuine.is_signed_with(CERTIFICATE.as_bytes()));
    fuzz::run(MATERIAL, |text| {
        // Nobody has signed these, whatever the certificate is.
        assert!(!message("other", SIGNATURE).is_signed_with(text.as_bytes()));
        assert!(!message("hi", text).is_signed_with(CERTIFICATE.as_bytes()));
        // The genuine message has one certificate, which may stand among other text.
        genuine.is_signed_with(text.as_bytes());
        if let Some(url) = certificate_url(text) {
            let host = url.host_str().unwrap_or_default();
            assert!(
                host.starts_with("sns.")
                    && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")),
                "{url}"
            );
        }
    });
}
