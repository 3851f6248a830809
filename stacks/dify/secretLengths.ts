/** Letters of each password of Dify's, by its resource's name. INIT_PASSWORD may have 30. */
export const secretLengths = {
  "dify-admin-password": 24,
  "dify-init-password": 24,
  "dify-secret-key": 48,
  "dify-db-password": 32,
  "dify-redis-password": 32,
  "dify-sandbox-key": 32,
  "dify-daemon-key": 48,
  "dify-inner-key": 48,
  "dify-weaviate-key": 32,
} as const;
