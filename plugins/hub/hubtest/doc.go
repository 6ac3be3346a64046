// Package hubtest is a hub for tests: a server that speaks Hugging Face's protocol and serves repositories from memory.
// It can fail as hubs do. A test with the Python package huggingface_hub checks that the server behaves like a hub.
//
// It imports no other package of the module.
package hubtest
