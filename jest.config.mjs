import { availableParallelism } from 'node:os';

// Tests run the TypeScript sources through swc; programs under test run the build in dist/.
export default {
  testEnvironment: './test/helpers/environment.mjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript' },
          target: 'es2022',
          experimental: { keepImportAttributes: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.peers', '<rootDir>/.cache'],
  // By default one core would be left idle, half of a small machine.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  testTimeout: 300_000,
};
