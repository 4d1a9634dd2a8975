/** The page's own program: leaves the report where the test looks for it. */
import { report, type Report } from './report.js';

declare const globalThis: { finished?: Promise<Report> };

globalThis.finished = report();
