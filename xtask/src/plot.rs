//! Plots of curves, as PNG and SVG.

use std::{ops::Range, sync::Once};

use anyhow::anyhow;
use image::{ImageFormat, RgbImage};
use plotters::{
    coord::Shift,
    prelude::*,
    style::{FontStyle, register_font},
};

/// Width and height, in pixels.
const SIZE: (u32, u32) = (900, 600);
/// The font that mask-detector draws with, too.
const FONT: &[u8] = include_bytes!("../../crates/mask-detector/assets/DejaVuSans-Bold.ttf");
/// Colours of curves that are of no class: the first of matplotlib's.
const COLORS: [[u8; 3]; 4] = [[31, 119, 180], [255, 127, 14], [44, 160, 44], [214, 39, 40]];

/// How a plot is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlotFormat {
    Png,
    Svg,
}

/// Curves over common axes.
pub(crate) struct Curves {
    pub(crate) title: String,
    pub(crate) x_name: &'static str,
    pub(crate) x: Range<f64>,
    pub(crate) y: Range<f64>,
    pub(crate) lines: Vec<Line>,
}

/// One curve.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) color: [u8; 3],
}

impl Line {
    /// A curve that is of no class.
    pub(crate) fn new(at: usize, name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, color: COLORS[at % COLORS.len()] }
    }
}

impl Curves {
    /// The plot as the bytes of a file.
    pub(crate) fn draw(&self, format: PlotFormat) -> anyhow::Result<Vec<u8>> {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // Only a font that cannot be parsed fails, and drawing then says so.
            let _ = register_font("sans-serif", FontStyle::Normal, FONT);
        });
        match format {
            PlotFormat::Svg => {
                let mut text = String::new();
                self.draw_on(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
                Ok(text.into_bytes())
            }
            PlotFormat::Png => {
                let mut image = RgbImage::new(SIZE.0, SIZE.1);
                let area = BitMapBackend::with_buffer(&mut image, SIZE).into_drawing_area();
                self.draw_on(&area)?;
                drop(area);
                let mut png = std::io::Cursor::new(Vec::new());
                image.write_to(&mut png, ImageFormat::Png)?;
                Ok(png.into_inner())
            }
        }
    }

    fn draw_on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> anyhow::Result<()> {
        self.draw_chart(area).map_err(|error| anyhow!("cannot draw the plot: {error}"))
    }

    fn draw_chart<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(52)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart.configure_mesh().x_desc(self.x_name).label_style(("sans-serif", 14)).draw()?;
        for Line { name, points, color: [red, green, blue] } in &self.lines {
            let style = RGBColor(*red, *green, *blue).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .label_font(("sans-serif", 14))
            .draw()?;
        area.present()
    }
}
