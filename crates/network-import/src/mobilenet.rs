//! MobileNetV2 without its top, as ONNX, batch norms folded.

use crate::keras::Keras;
use onnx_export::{
    OperatorSetVersion,
    proto::{Attribute, Dim, Graph},
};

/// The inverted residuals of Sandler et al. 2018, table 2, at width 1.0: expansion, output
/// channels, repeats, stride of the first.
#[rustfmt::skip]
const INVERTED_RESIDUALS: [(usize, usize, usize, usize); 7] = [
    // t, c, n, s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// Builds the graph: `image` `[batch, 3, 224, 224]`, RGB in [-1, 1], to `out_relu`
/// `[batch, 1280, 7, 7]`. Nodes bear Keras's layer names.
pub(crate) fn onnx(keras: &Keras) -> anyhow::Result<Vec<u8>> {
    let sides = |sides: [usize; 3]| {
        let [channels, height, width] = sides.map(Dim::Fixed);
        [Dim::Symbolic("batch"), channels, height, width]
    };
    let mut build = Builder { keras, graph: Graph::named("mobilenet_v2") };
    build.graph.add_input("image", &sides([3, 224, 224]));
    build.graph.add_output("out_relu", &sides([1280, 7, 7]));
    build.graph.initializer("zero", &[], &[0.0]);
    build.graph.initializer("six", &[], &[6.0]);

    build.conv("Conv1", "bn_Conv1", "image", 2)?;
    build.relu6("Conv1_relu", "Conv1");
    let (mut last, mut channels) = ("Conv1_relu".to_owned(), 32);
    let mut index = 0;
    for (expansion, output, repeats, first_stride) in INVERTED_RESIDUALS {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let prefix =
                if index == 0 { "expanded_conv".to_owned() } else { format!("block_{index}") };
            let residual = stride == 1 && channels == output;
            last = build.inverted_residual(&prefix, &last, expansion > 1, stride, residual)?;
            channels = output;
            index += 1;
        }
    }
    build.conv("Conv_1", "Conv_1_bn", &last, 1)?;
    build.relu6("out_relu", "Conv_1");
    Ok(build.graph.encode("mask-detector xtask import", OperatorSetVersion::OLDEST, &[]))
}

struct Builder<'a> {
    keras: &'a Keras,
    graph: Graph,
}

impl Builder<'_> {
    /// Appends a convolution with its batch norm.
    fn conv(&mut self, name: &str, norm: &str, input: &str, stride: usize) -> anyhow::Result<()> {
        let conv = self.keras.folded_conv(name, norm)?;
        let [output, _, height, width] = conv.shape;
        // Keras pads below and to the right only where it halves the size.
        let pads = match (height, stride) {
            (1, _) => [0; 4],
            (_, 1) => [1; 4],
            _ => [0, 0, 1, 1],
        };
        let (weight, bias) = (format!("{name}_weight"), format!("{name}_bias"));
        self.graph.initializer(&weight, &conv.shape, &conv.weight);
        self.graph.initializer(&bias, &[output], &conv.bias);
        let attributes = vec![
            Attribute::ints("dilations", &[1, 1]),
            Attribute::int("group", if name.ends_with("depthwise") { output } else { 1 }),
            Attribute::ints("kernel_shape", &[height, width]),
            Attribute::ints("pads", &pads),
            Attribute::ints("strides", &[stride, stride]),
        ];
        self.graph.node("Conv", name, &[input, &weight, &bias], attributes);
        Ok(())
    }

    fn relu6(&mut self, name: &str, input: &str) {
        self.graph.node("Clip", name, &[input, "zero", "six"], Vec::new());
    }

    /// Appends a block and returns the name of its output.
    fn inverted_residual(
        &mut self,
        prefix: &str,
        input: &str,
        expand: bool,
        stride: usize,
        residual: bool,
    ) -> anyhow::Result<String> {
        let name = |part: &str| format!("{prefix}_{part}");
        let mut last = input.to_owned();
        if expand {
            self.conv(&name("expand"), &name("expand_BN"), &last, 1)?;
            self.relu6(&name("expand_relu"), &name("expand"));
            last = name("expand_relu");
        }
        self.conv(&name("depthwise"), &name("depthwise_BN"), &last, stride)?;
        self.relu6(&name("depthwise_relu"), &name("depthwise"));
        self.conv(&name("project"), &name("project_BN"), &name("depthwise_relu"), 1)?;
        if !residual {
            return Ok(name("project"));
        }
        self.graph.node("Add", &name("add"), &[input, &name("project")], Vec::new());
        Ok(name("add"))
    }
}
