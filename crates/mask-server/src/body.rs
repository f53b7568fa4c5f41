//! The images in a request's body: the body itself, the files of a form, or base64 in JSON.

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart},
    http::{HeaderMap, Request, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// The name of an image that has none.
pub(crate) const NO_NAME: &str = "-";

/// An encoded image.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) content: Result<Content, Problem>,
}

/// Where an image is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Here.
    Bytes(Bytes),
    /// At an address.
    Link(String),
}

/// The images of a request.
#[derive(Debug)]
pub(crate) enum Uploads {
    /// One, whose answer is an object.
    One(Upload),
    /// Any number, whose answer is an array.
    Many(Vec<Upload>),
}

/// Images as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum JsonImages {
    /// One.
    One(OneImage),
    /// Any number.
    Many(ManyImages),
}

/// An image; the answer is an object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneImage {
    /// The image.
    image: JsonImage,
}

/// Images; the answer is an array.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManyImages {
    /// The images.
    #[schema(min_items = 1)]
    images: Vec<JsonImage>,
}

/// An image in base64, or as a `data:` URI, alone or with a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum JsonImage {
    /// Its bytes.
    Data(String),
    /// With a name.
    Named(NamedImage),
    /// Elsewhere.
    Linked(LinkedImage),
}

/// An image that the server fetches, where it is told to (`--allow-fetch`).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkedImage {
    /// Its address, which must be a public one.
    #[schema(pattern = "^https?://")]
    url: String,
}

/// An image with a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedImage {
    /// What it is called in the answer.
    name: String,
    /// Its bytes, in base64 or as a `data:` URI.
    data: String,
}

impl JsonImage {
    fn decode(self) -> Upload {
        let (name, data) = match self {
            Self::Data(data) => (NO_NAME.to_owned(), data),
            Self::Named(NamedImage { name, data }) => (name, data),
            Self::Linked(LinkedImage { url }) => {
                return Upload { name: url.clone(), content: Ok(Content::Link(url)) };
            }
        };
        let encoded = match data.strip_prefix("data:") {
            Some(uri) => uri.split_once(";base64,").map(|(_, encoded)| encoded),
            None => Some(&*data),
        };
        let bytes = encoded
            .ok_or_else(|| Problem::bad_request("a data URI that is not in base64"))
            .and_then(|encoded| {
                let decoded = STANDARD.decode(encoded.trim_ascii());
                decoded
                    .map(Bytes::from)
                    .map_err(|error| Problem::bad_request(format!("not base64: {error}")))
            });
        Upload { name, content: bytes.map(Content::Bytes) }
    }
}

impl Uploads {
    /// Those that are elsewhere.
    pub(crate) fn links(&mut self) -> Vec<&mut Upload> {
        let uploads = match self {
            Self::One(upload) => std::slice::from_mut(upload),
            Self::Many(uploads) => uploads,
        };
        uploads.iter_mut().filter(|upload| matches!(upload.content, Ok(Content::Link(_)))).collect()
    }
}

/// The images of a body that has arrived, no more than `most`.
pub(crate) async fn images(
    headers: &HeaderMap,
    body: Bytes,
    most: usize,
) -> Result<Uploads, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    let uploads = match &*media_type.trim().to_ascii_lowercase() {
        "multipart/form-data" => Uploads::Many(files(headers, body).await?),
        "application/json" => json(&body)?,
        // Whatever the sender calls it, it is what its bytes say.
        _ => Uploads::One(Upload { name: NO_NAME.to_owned(), content: Ok(Content::Bytes(body)) }),
    };
    match &uploads {
        Uploads::Many(uploads) if uploads.is_empty() => {
            Err(Problem::bad_request("there is no image in it"))
        }
        Uploads::Many(uploads) if uploads.len() > most => {
            let message =
                format!("{} images are more than {most}; send several requests", uploads.len());
            Err(Problem::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        _ => Ok(uploads),
    }
}

fn json(body: &[u8]) -> Result<Uploads, Problem> {
    match serde_json::from_slice(body) {
        Ok(JsonImages::One(OneImage { image })) => Ok(Uploads::One(image.decode())),
        Ok(JsonImages::Many(ManyImages { images })) => {
            Ok(Uploads::Many(images.into_iter().map(JsonImage::decode).collect()))
        }
        Err(error) if error.is_data() => Err(Problem::bad_request(
            "give either `image` or `images`, in base64 or as an address, and nothing else",
        )),
        Err(error) => Err(Problem::bad_request(format!("not JSON: {error}"))),
    }
}

async fn files(headers: &HeaderMap, body: Bytes) -> Result<Vec<Upload>, Problem> {
    let mut request = Request::new(axum::body::Body::from(body));
    *request.headers_mut() = headers.clone();
    let wrong = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let mut form =
        Multipart::from_request(request, &()).await.map_err(|error| wrong(&error.body_text()))?;
    let mut uploads = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| wrong(&error.body_text()))? {
        let name = field.file_name().or(field.name()).unwrap_or(NO_NAME).to_owned();
        let bytes = field.bytes().await.map_err(|error| wrong(&error.body_text()))?;
        uploads.push(Upload { name, content: Ok(Content::Bytes(bytes)) });
    }
    Ok(uploads)
}
