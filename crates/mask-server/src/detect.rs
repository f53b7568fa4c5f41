//! `POST /v1/detect`.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use detection_schema::{ImageRecord, Outcome};
use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use crate::{
    answer::{self, accepts},
    body::{self, Content, JsonImages, Upload, Uploads},
    engine::Searched,
    metrics::ImageOutcome,
    parameters::{Parameters, Wanted},
    problem::{Problem, ProblemBody},
    requests::{Reserved, Taken},
    server::Service,
};

/// Files, in fields of any names, of which there may be several of the same.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes what is read by its parts")]
pub(crate) struct Form(BTreeMap<String, serde_json::Value>);

/// An encoded image.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "bytes are read and written as they are")]
pub(crate) struct Image(Vec<u8>);

/// The answer to one image, or to several.
#[derive(utoipa::ToSchema, serde::Serialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is answered by its parts")]
pub(crate) enum Records {
    /// To one.
    One(ImageRecord),
    /// To several, in their order.
    Many(Vec<ImageRecord>),
}

/// Finds the faces in images and says for each whether it wears a mask.
///
/// The body is an image, a form with any number of files, or JSON with base64. One image is answered with an object,
/// several with an array in their order, in which each has its faces or its own error.
#[utoipa::path(
    post,
    path = "/v1/detect",
    tag = "detect",
    params(Parameters),
    request_body(content(
        (Image = "application/octet-stream"),
        (Form = "multipart/form-data"),
        (JsonImages = "application/json"),
    )),
    responses(
        (status = 200, description = "the faces, or with `draw` or `blur` an image", content(
            (Records = "application/json"),
            (String = "application/x-ndjson"),
            (Image = "image/jpeg"),
            (Image = "image/png"),
        )),
        (status = 400, description = "the request has no sense", body = ProblemBody),
        (status = 401, description = "no valid API key", body = ProblemBody),
        (status = 408, description = "the body did not arrive in time", body = ProblemBody),
        (status = 413, description = "too many bytes or images", body = ProblemBody),
        (status = 415, description = "nothing that is decoded here", body = ProblemBody),
        (status = 422, description = "damaged, or too many pixels", body = ProblemBody),
        (status = 429, description = "too much to do; see `Retry-After`", body = ProblemBody),
        (status = 500, description = "a fault of the server", body = ProblemBody),
        (status = 503, description = "not done in time; see `Retry-After`", body = ProblemBody),
    ),
    security((), ("key" = [])),
)]
pub(crate) async fn detect(
    State(service): State<Service>,
    wanted: Result<Wanted, Problem>,
    taken: Taken,
) -> Result<Response, Problem> {
    // Refused when the body has been read: the connection is then good for the next request.
    let wanted = wanted?;
    let most = service.config.limits.images;
    let mut uploads = body::images(&taken.headers, taken.body.clone(), most).await?;
    let _fetched = fetch(&service, &mut uploads, &taken).await?;
    if wanted.is_image() {
        let upload = match uploads {
            Uploads::One(upload) => upload,
            Uploads::Many(mut uploads) if uploads.len() == 1 => uploads.remove(0),
            Uploads::Many(_) => {
                return Err(Problem::bad_request("draw and blur take one image at a time"));
            }
        };
        let png = accepts(&taken.headers, "image/png");
        let searched = search(&service, &wanted, upload, &taken).await?;
        let annotator = service.annotator.clone();
        let drawn = spawn_blocking(move || answer::image(searched, &wanted, &annotator, png));
        return drawn.await.unwrap_or_else(|_| Err(Problem::failed()));
    }
    match uploads {
        Uploads::One(upload) => {
            let name = upload.name.clone();
            let searched = search(&service, &wanted, upload, &taken).await?;
            Ok(Json(answer::record(name, searched)).into_response())
        }
        Uploads::Many(uploads) => {
            let records = uploads.into_iter().map(async |upload| {
                let name = upload.name.clone();
                match search(&service, &wanted, upload, &taken).await {
                    Ok(searched) => answer::record(name, searched),
                    Err(problem) => answer::failed(name, problem),
                }
            });
            let records = join_all(records).await;
            // Where not one could be begun, it is the request that came too late.
            let late = Problem::late();
            let is_late = |record: &ImageRecord| matches!(&record.outcome, Outcome::Failed { error } if *error == late.message);
            if records.iter().all(is_late) {
                return Err(late);
            }
            Ok(answer::records(&records, &taken.headers))
        }
    }
}

/// Fetches what is elsewhere, where that is allowed; the memory that it may take, as long as this lives.
async fn fetch(
    service: &Service,
    uploads: &mut Uploads,
    taken: &Taken,
) -> Result<Option<Reserved>, Problem> {
    let links = uploads.links();
    let Some(fetcher) = service.fetcher.clone().filter(|_| !links.is_empty()) else {
        return Ok(None);
    };
    let mut left = service.config.limits.body_bytes;
    let reserved = service.room.reserve(left)?;
    for upload in links {
        let Ok(Content::Link(url)) = upload.content.clone() else { continue };
        let (fetcher, deadline) = (fetcher.clone(), taken.deadline);
        let bytes = spawn_blocking(move || fetcher.fetch(&url, left, deadline)).await;
        let bytes = bytes.unwrap_or_else(|_| Err(Problem::failed()));
        left -= bytes.as_ref().map_or(0, Bytes::len);
        upload.content = bytes.map(Content::Bytes);
    }
    Ok(Some(reserved))
}

/// The faces of an image that are asked for.
async fn search(
    service: &Service,
    wanted: &Wanted,
    upload: Upload,
    taken: &Taken,
) -> Result<Searched, Problem> {
    let found = match upload.content {
        Ok(Content::Link(_)) => Err(Problem::bad_request("this server fetches nothing")),
        Ok(Content::Bytes(bytes)) => {
            let (decode, confidence) = (service.config.limits.decode, wanted.min_confidence);
            service.engine.detect(bytes, &upload.name, decode, confidence, taken.deadline).await
        }
        Err(problem) => Err(problem),
    };
    let outcome = if found.is_ok() { ImageOutcome::Done } else { ImageOutcome::Failed };
    service.metrics.image(outcome);
    found.map(|mut searched| {
        wanted.select(&mut searched.faces);
        searched.faces.iter().for_each(|face| service.metrics.face(face.label()));
        searched
    })
}
