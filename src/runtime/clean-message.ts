// onnxruntime's error messages without their source positions and C++ signatures, and the node they
// are about, where they say so.

export interface CleanMessage {
  readonly message: string;
  readonly node: string | undefined;
}

const NODE_PATTERNS = [
  // In Node, ("sum", Add, "", -1) : ("a": tensor(float), …) -> ("y",) , Error …
  /\bIn Node, \("([^"]*)",/,
  // Non-zero status code returned while running Add node. Name:'sum' Status Message: …
  /while running [\w.]+ node\. Name:\s*'([^']*)'/,
  // Type Error: Type parameter (T) of Optype (Add) bound to different types … in node (sum).
  /\bin node \(([^)]*)\)/,
  // Node (sum) Op (Add) [ShapeInferenceError] …   Node (sum) has input size 1 …
  /\bNode:? ?\(([^)]*)\)/,
  // Could not find an implementation for Conv(11) node with name 'conv1'
  /node with name '([^']*)'/,
  // … is not a registered function/op … Node name: 'x'
  /[Nn]ode[ _][Nn]ame:? ?'([^']*)'/,
];

export function cleanMessage(text: string): CleanMessage {
  const node = NODE_PATTERNS.map((pattern) => pattern.exec(text)?.[1]).find((name) => name);
  const message = text
    .replace(/^.*Status Message:\s*/s, '')
    // Error codes: "[ShapeInferenceError]" stays, "[ONNXRuntimeError] : 1 : FAIL :" goes.
    .replace(/\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : /g, '')
    .replace(/\bIn Node, \(.*\) , Error:? /s, '')
    .replace(/^Exception during initialization:\s*/, '')
    .replace(/^(Load model from .*? failed|Error in execution):\s*/, '')
    .replace(/^(?:This is an invalid model\. |Fatal error: )+/, '')
    // "/onnxruntime_src/onnxruntime/core/x.cc:45 onnxruntime::Foo(const Bar&) cond was false. text"
    .replace(/\S*\.(?:cc|h|cpp|hpp|cu):\d+\s+(?:.*?\)(?:\s*const)?\s+(?=\S)|\w+\s+)?/g, '')
    // A failed check says its condition first: "axis == 1 was false. text".
    .replace(/^.*\bwas false\.\s+(?=\S)/s, '')
    .replace(/\s*\n\s*/g, '; ')
    .replace(/[\s.;]+$/, '')
    .trim();
  return { message: message || text.trim(), node };
}
