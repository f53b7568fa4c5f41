#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
use burn::tensor::Device;
use face_ssd::{WeightsSource, network::Res10Ssd};
use fused_cpu::{Isa, Plan, Workspace};
use mask_model::Backbone;
#[test]
#[ignore]
fn zz_time() {
    let network = Res10Ssd::load(&WeightsSource::Embedded, &Device::flex()).unwrap();
    let backbone = Backbone::load(None, &Device::flex()).unwrap();
    let only = std::env::var("ISA").unwrap_or_default();
    for isa in Isa::available() {
        if !only.is_empty() && isa.to_string() != only {
            continue;
        }
        let face = Plan::compile_for(isa, &network, [1, 3, 300, 300], |network, input| {
            let output = network.forward(input);
            (output.locations, output.confidences)
        })
        .unwrap();
        let back = Plan::compile_for(isa, &backbone, [1, 3, 224, 224], Backbone::forward).unwrap();
        for (name, plan, shape) in [
            ("face300", &face, [1, 300, 300, 3]),
            ("face480", &face, [1, 480, 640, 3]),
            ("back1", &back, [1, 224, 224, 3]),
            ("back8", &back, [8, 224, 224, 3]),
        ] {
            let mut workspace = Workspace::new();
            let input: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|i| ((i * 7919) % 255) as f32 / 127.5 - 1.0)
                .collect();
            let mut times = vec![];
            for _ in 0..25 {
                let t = std::time::Instant::now();
                plan.run(&mut workspace, &input, shape).unwrap();
                times.push(t.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            println!("{isa} {name}: {:.2} ms (median {:.2})", times[0], times[12]);
        }
    }
}
