//! An evaluation as files: metrics in JSON, plots, and a page that shows both.

use std::{fmt::Write as _, io, path::Path};

use detection_schema::class_color;
use image::{ImageFormat, RgbImage, imageops};
use image_input::{DecodeOptions, decode_file};
use mask_data::Warp;
use mask_detector::BoundingBox;
use mask_metrics::{ClassCurves, Evaluation, EvaluationInput, LabeledPrediction};

use crate::{
    files::write_file,
    plot::{Curves, Line, PlotFormat},
    progress::print,
};

/// Errors on the contact sheet, and how many stand in a row.
const WORST: usize = 48;
const COLUMNS: usize = 12;
/// Side of an image on the contact sheet.
const SIDE: u32 = 112;

/// Writes the report into a folder and shows its core.
pub(super) fn write(
    folder: &Path,
    input: &EvaluationInput,
    metrics: &Evaluation,
) -> anyhow::Result<()> {
    let file = |name: &str, content: &[u8]| write_file(&folder.join(name), content);
    file("metrics.json", serde_json::to_string_pretty(metrics)?.as_bytes())?;
    let mut drawn = Vec::new();
    for (name, curves) in plots(metrics) {
        file(&format!("{name}.png"), &curves.draw(PlotFormat::Png)?)?;
        let svg = curves.draw(PlotFormat::Svg)?;
        file(&format!("{name}.svg"), &svg)?;
        drawn.push(String::from_utf8(svg)?);
    }
    let worst = worst(&input.labeled);
    let mut png = io::Cursor::new(Vec::new());
    contact_sheet(&worst).write_to(&mut png, ImageFormat::Png)?;
    file("errors.png", &png.into_inner())?;
    let text = summary(metrics);
    file("report.html", page(metrics, &text, &drawn, &worst)?.as_bytes())?;
    Ok(print(format_args!("{text}\nreport: {}", folder.join("report.html").display()))?)
}

fn plots(metrics: &Evaluation) -> Vec<(&'static str, Curves)> {
    type Points = Vec<(f64, f64)>;
    let unit = |title: &str, x_name, lines| Curves {
        title: title.to_owned(),
        x_name,
        x: 0.0..1.0,
        y: 0.0..1.0,
        lines,
    };
    let line = |curve: &ClassCurves, score: Option<f64>, points: &Points| {
        let score = score.map_or_else(String::new, |score| format!(" {score:.4}"));
        let color = class_color(&metrics.classes, &curve.class);
        Line { name: format!("{}{score}", curve.class), points: points.clone(), color }
    };
    let curves = metrics.curves.iter();
    let roc = curves.clone().map(|curve| line(curve, curve.roc_auc, &curve.roc)).collect();
    let precision =
        curves.map(|curve| line(curve, curve.average_precision, &curve.precision_recall));
    let bins = metrics.calibration.bins.iter().filter(|bin| bin.count > 0);
    let reliability = vec![
        Line::new(0, "accuracy", bins.map(|bin| (bin.confidence, bin.accuracy)).collect()),
        Line::new(1, "perfect", vec![(0.0, 0.0), (1.0, 1.0)]),
    ];
    vec![
        ("roc", unit("ROC: true over false positives, area", "false positive rate", roc)),
        ("precision_recall", unit("Precision over recall, AP", "recall", precision.collect())),
        ("reliability", unit("Reliability", "probability of the label", reliability)),
    ]
}

/// The wrongly labelled, the most confident first.
fn worst(labeled: &[LabeledPrediction]) -> Vec<&LabeledPrediction> {
    let mut wrong: Vec<&LabeledPrediction> =
        labeled.iter().filter(|face| face.label() != face.truth).collect();
    let sureness = LabeledPrediction::label_probability;
    wrong.sort_by(|a, b| sureness(b).total_cmp(&sureness(a)));
    wrong.truncate(WORST);
    wrong
}

/// The faces in rows; one that cannot be read any more stays black.
fn contact_sheet(faces: &[&LabeledPrediction]) -> RgbImage {
    let rows = faces.len().div_ceil(COLUMNS).max(1) as u32;
    let mut sheet = RgbImage::new(SIDE * COLUMNS as u32, SIDE * rows);
    for (at, face) in faces.iter().enumerate() {
        let Ok(decoded) = decode_file(&face.image, &DecodeOptions::default()) else { continue };
        let image = decoded.image;
        let size = image.dimensions().into();
        let region = face.region.unwrap_or(BoundingBox::of_image(size));
        let small = Warp::default().apply(&image, region, SIDE);
        let (x, y) = ((at % COLUMNS) as u32 * SIDE, (at / COLUMNS) as u32 * SIDE);
        imageops::replace(&mut sheet, &small, x.into(), y.into());
    }
    sheet
}

/// The core in text. Writing to a string cannot fail.
fn summary(metrics: &Evaluation) -> String {
    let mut text = format!("{}\n\n", metrics.about);
    // First what an unbalanced set hides.
    for (class, scores) in metrics.classes.iter().zip(&metrics.report.classes) {
        let _ = writeln!(text, "recall of {class}: {:.4} of {}", scores.recall, scores.support);
    }
    let _ = write!(text, "\n{}", metrics.report.to_text(&metrics.classes));
    let faces = metrics.confusion.total();
    let _ = writeln!(text, "\naccuracy {:.4} of {faces} faces", metrics.accuracy);
    for curve in &metrics.curves {
        if let (Some(auc), Some(ap)) = (curve.roc_auc, curve.average_precision) {
            let _ = writeln!(text, "{}: ROC AUC {auc:.4}, average precision {ap:.4}", curve.class);
        }
    }
    let _ = writeln!(text, "expected calibration error {:.4}", metrics.calibration.expected_error);
    let thresholds = &metrics.thresholds;
    let wishes = [
        (format!("precision {}", thresholds.target_precision), thresholds.for_precision),
        (
            format!("a false positive's cost of {}", thresholds.false_positive_cost),
            thresholds.for_cost,
        ),
    ];
    for (wish, threshold) in wishes {
        let found = threshold.map_or("no threshold".to_owned(), |at| {
            format!(
                "threshold {:.4}: precision {:.4}, recall {:.4}",
                at.score, at.precision, at.recall
            )
        });
        let _ = writeln!(text, "{}, for {wish}: {found}", thresholds.class);
    }
    if let Some(found) = &metrics.detection {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let _ = writeln!(
            text,
            "\n{} faces in {} photographs\nface AP50 {}, AP50:95 {}",
            found.faces,
            found.images,
            number(found.face_ap50),
            number(found.face_ap50_95)
        );
        for (class, ap) in metrics.classes.iter().zip(&found.class_ap50) {
            let _ = writeln!(text, "AP50 {class} {}", number(*ap));
        }
        let _ =
            writeln!(text, "mAP50 {}, mAP50:95 {}", number(found.map50), number(found.map50_95));
        for size in &found.recall_by_size {
            let to = size.to.map_or("and more".to_owned(), |to| format!("to {to}"));
            let _ = writeln!(
                text,
                "faces of {} {to} pixels: {} of {} found",
                size.from, size.found, size.objects
            );
        }
    }
    text
}

/// The page. Everything but the contact sheet, which lies beside it, is in it.
fn page(
    metrics: &Evaluation,
    text: &str,
    plots: &[String],
    worst: &[&LabeledPrediction],
) -> Result<String, std::fmt::Error> {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title>\n\
         <style>body{font-family:sans-serif;max-width:60rem;margin:2rem auto}table{border-collapse:\
         collapse}td,th{border:1px solid #999;padding:.3rem .7rem;text-align:right}svg,img{max-width:\
         100%;height:auto}</style></head><body>\n<h1>Evaluation</h1>\n",
    );
    writeln!(
        html,
        "<pre>{}</pre>\n<h2>Confusion</h2>\n<table><tr><th>true \\ label</th>",
        escaped(text)
    )?;
    let head = |class: &str| {
        let [red, green, blue] = class_color(&metrics.classes, class);
        format!("<th style=\"color:rgb({red} {green} {blue})\">{}</th>", escaped(class))
    };
    for class in &metrics.classes {
        html.push_str(&head(class));
    }
    for (class, row) in metrics.classes.iter().zip(&metrics.confusion.counts) {
        write!(html, "</tr>\n<tr>{}", head(class))?;
        for count in row {
            write!(html, "<td>{count}</td>")?;
        }
    }
    html.push_str("</tr></table>\n<h2>Curves</h2>\n");
    for plot in plots {
        writeln!(html, "<figure>{plot}</figure>")?;
    }
    html.push_str("<h2>Most confident errors</h2>\n<p><img src=\"errors.png\" alt=\"Wrongly labelled faces\"></p>\n<ol>\n");
    for face in worst {
        let given = face.label();
        writeln!(
            html,
            "<li>{}: labelled {} with {:.4}, is {}</li>",
            escaped(&face.image.display().to_string()),
            escaped(&metrics.classes[given]),
            face.probabilities[given],
            escaped(&metrics.classes[face.truth])
        )?;
    }
    html.push_str("</ol>\n</body></html>\n");
    Ok(html)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
