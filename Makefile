# Two commands are all a new machine with Node and npm needs: `make demo` and `make test`.

.PHONY: build test demo fuzz bench pack clean
SOURCES := $(shell find src -name '*.ts' -o -name '*.js') scripts/build.mjs package.json

build: dist/cli/main.js

test: build
	@node scripts/test.mjs

demo: build
	@node scripts/demo.mjs

# Longer and wider than what `make test` does.
fuzz: build
	@XFORM_FUZZ_RUNS=20000 npm run --silent test -- test/onnx/fuzz.test.ts

# Regenerates the tables under bench/.
bench: build
	@node scripts/bench.mjs

# The package as users install it. npm does not run `prepack` under ignore-scripts, hence a target.
pack: build
	@npm pack --loglevel=error

node_modules/.installed: package-lock.json package.json .npmrc
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

dist/cli/main.js: node_modules/.installed $(SOURCES)
	@node scripts/build.mjs

clean:
	rm -rf dist node_modules oclif.manifest.json
