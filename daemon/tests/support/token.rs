//! Tokens for scenarios: good ones, and whatever somebody without a key could make up. Written by
//! hand, so that a test can sign what no library would.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::now_ms;

/// The secret of daemons in scenarios.
pub(crate) const SECRET: &str = "a-secret-of-scenarios-that-nobody-else-has";

/// What signs a token.
pub(crate) enum Signer {
    Hs256(Vec<u8>),
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
    /// Nothing: the signature is empty.
    Nobody,
}

impl Signer {
    pub(crate) fn secret(secret: &str) -> Self {
        Self::Hs256(secret.as_bytes().to_vec())
    }

    pub(crate) fn new_rs256() -> Self {
        Self::Rs256(Box::new(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn new_es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::Es256(Box::new(pair.unwrap()))
    }

    pub(crate) fn new_eddsa() -> Self {
        Self::EdDsa(Box::new(Ed25519KeyPair::generate().unwrap()))
    }

    /// As a header names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Nobody => "none",
        }
    }

    /// The public key as `openssl pkey -pubout` writes it.
    pub(crate) fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rs256(pair) => pair.public_key().as_der().unwrap(),
            Self::Es256(pair) => pair.public_key().as_der().unwrap(),
            Self::EdDsa(pair) => pair.public_key().as_der().unwrap(),
            Self::Hs256(_) | Self::Nobody => panic!("it has no public key"),
        };
        pem("PUBLIC KEY", der.as_ref())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Es256(pair) => {
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Nobody => Vec::new(),
        }
    }

    /// A token with the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.name(), "typ": "JWT"}), claims)
    }

    /// A token with any header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token of any two texts.
    pub(crate) fn token_of(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(payload));
        let signature = base64url(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Claims that are good for an hour.
pub(crate) fn claims(subject: &str, scope: &str) -> Value {
    let now = now_ms() / 1_000;
    json!({"sub": subject, "scope": scope, "iat": now, "exp": now + 3_600})
}

/// The same with some of them set, or taken away where the value is null.
pub(crate) fn changed(mut claims: Value, changes: &Value) -> Value {
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// A good token of the scenarios' secret.
pub(crate) fn good(subject: &str, scope: &str) -> String {
    Signer::secret(SECRET).token(&claims(subject, scope))
}

/// Base64url without padding, as tokens have it.
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A PEM file of one block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
