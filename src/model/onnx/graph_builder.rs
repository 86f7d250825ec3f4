//! An ONNX graph, built node by node. A value is known by the name of the node or tensor that it comes from.

use super::protobuf::{Attribute, Graph, Node, Tensor, ValueInfo, FLOAT, INT64};

/// The name of a value in the graph.
pub type Value = String;

/// A graph under construction.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// Adds an operator; its one output has its name.
    pub fn node(&mut self, name: &str, op_type: &str, inputs: &[&Value], options: Vec<Attribute>) -> Value {
        self.graph.node.push(Node {
            input: inputs.iter().map(|value| (*value).clone()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute: options,
        });
        name.to_owned()
    }

    /// Adds numbers of this shape; a scalar's shape is empty.
    pub fn tensor(&mut self, name: &str, shape: &[usize], numbers: &[f32]) -> Value {
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.initializer(name, shape, FLOAT, bytes)
    }

    /// Adds a list of integers: a shape.
    pub fn integers(&mut self, name: &str, integers: &[i64]) -> Value {
        let bytes = integers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.initializer(name, &[integers.len()], INT64, bytes)
    }

    fn initializer(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let dims = shape.iter().map(|&length| length as i64).collect();
        self.graph.initializer.push(Tensor { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    /// The graph from this input to this output.
    pub fn finish(mut self, name: &str, input: ValueInfo, output: ValueInfo) -> Graph {
        self.graph.name = name.to_owned();
        self.graph.input.push(input);
        self.graph.output.push(output);
        self.graph
    }
}
