import type { Route } from "./router.ts";
export const pageRoutes: Route[] = [];
