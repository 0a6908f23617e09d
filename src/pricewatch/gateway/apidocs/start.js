// Shows the description of this very service; nothing is asked of any other place.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    tagsSorter: "alpha",
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    withCredentials: true,
    persistAuthorization: false,
  });
});
